"""Runs a plan and tells the observers; the one blind `except` stands here, at the plugin's border."""
