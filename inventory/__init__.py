"""The inventory that is used when none is named."""
