"""Runs a plan and tells the observers."""
