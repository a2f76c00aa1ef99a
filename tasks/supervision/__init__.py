"""Services, and the three that run them: systemd, Windows, and a plain process with a pid file."""
