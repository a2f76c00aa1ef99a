"""What the tasks of `security` look with: for keys in logs, and at a service from outside."""
