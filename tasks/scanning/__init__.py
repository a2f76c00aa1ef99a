"""Reading logs for what went wrong."""
