"""From what was asked to what will be run: every error of law 4 is found here."""
