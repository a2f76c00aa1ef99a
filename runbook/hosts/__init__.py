"""The inventory: which hosts there are, in which groups, with which variables."""

from runbook.hosts.inventory import Inventory
from runbook.hosts.load import load_inventory

__all__ = ["Inventory", "load_inventory"]
