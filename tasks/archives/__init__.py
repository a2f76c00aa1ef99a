"""What the release tasks are built of: what goes in, how it is packed, and how it is read back."""
