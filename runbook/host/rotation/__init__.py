"""Rotating logs that are being written, without losing a line."""
