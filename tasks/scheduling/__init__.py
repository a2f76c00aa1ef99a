"""What a job at its times looks like to each scheduler: a block of a crontab, units of systemd, XML of Windows."""
