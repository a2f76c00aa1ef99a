"""Measures runbook beside its peers: `python -m benchmarks`."""
