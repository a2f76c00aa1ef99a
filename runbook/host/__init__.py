"""The lowest seam: everything that is read of a machine or done to it passes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook.host.imagined.overlay import Overlay
    from runbook.host.local import LocalHost
    from runbook.host.protocol import Host, Listener

__all__ = ["Host", "Listener", "LocalHost", "Overlay"]

_HOMES = {"Host": "protocol", "Listener": "protocol", "LocalHost": "local", "Overlay": "imagined.overlay"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a plugin's `Host` must not cost the real machine's modules."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
