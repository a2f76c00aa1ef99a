"""Measures, compares, optimises and quantises models, in a process of its own: `python -m runbook.measure`."""
