"""Shows runbook at work, on a real service and on real files: `python -m runbook.demo`."""
