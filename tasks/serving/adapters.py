"""How servers of models differ: what they are asked, and what proves which model they serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from runbook.changes import Exchange, Response, Send


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says that it serves; `name` is what an operator calls it. What it does not say is None."""

    name: str
    model_path: str | None = None
    sha256: str | None = None
    version: str | None = None
    told: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:12]})" if self.sha256 else self.name


class Adapter(Protocol):
    """One server and the model that it shall serve."""

    @property
    def wanted(self) -> str:
        """Name the model that it shall serve."""
        ...

    def served(self, send: Send) -> Served:
        """Ask what it serves; raises TaskFailed where it does not say."""
        ...

    def lack(self, served: Served) -> str | None:
        """Say how what is served differs from what is wanted, None if it does not."""
        ...

    def load(self) -> Exchange:
        """Give the request that makes it serve what is wanted."""
        ...

    def hint(self, answer: Response) -> str:
        """Say what to look at after it has refused that request."""
        ...
