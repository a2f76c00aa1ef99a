"""What the tasks that speak HTTP to a service have in common."""
