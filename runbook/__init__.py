"""Declarative, idempotent runbooks for people who operate ML inference services."""

__version__ = "0.1.0"
