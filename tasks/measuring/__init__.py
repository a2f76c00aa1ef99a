"""What the tasks that measure models have in common: their candidates, and the process that does the work."""
