"""What health.watch remembers between its runs, and what it makes of it."""
