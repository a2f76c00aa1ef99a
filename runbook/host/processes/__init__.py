"""Processes: those a step waits for, and those that outlive the run."""
