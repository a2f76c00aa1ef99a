"""Files of the real machine: read safely, made whole or not at all, altered."""
