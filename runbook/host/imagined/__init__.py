"""A machine as it would be: the overlay that a check runs on."""
