"""The playbooks that ship with runbook: the canonical procedures, written for people."""
