"""The tasks that ship with runbook, a module for each domain: `logs.archive` is `archive` in `logs.py`."""
