"""How servers of models differ: what they are asked, and what proves which model they serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from runbook.changes import Exchange, Response, Send
from runbook.units import Secret

ASK = 10.0  # seconds for what is only asked
WHERE = "is this the address of the server itself, and the right `adapter`?"


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says that it serves; `name` is what an operator calls it. What it does not say is None.

    A `pending` one is about to be served, as far as the server knows.
    """

    name: str
    model_path: str | None = None
    sha256: str | None = None
    version: str | None = None
    told: dict[str, Any] = field(default_factory=dict)
    pending: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:12]})" if self.sha256 else self.name

    @property
    def mark(self) -> str | None:
        """Give what the answers of this model bear."""
        return self.sha256 or self.version


@dataclass(frozen=True, slots=True)
class Address:
    """A server, the name of its model where it has several, the key it wants, and how long a load may take (s)."""

    url: str
    model: str = ""
    predict_url: str = ""
    key: Secret | None = None
    timeout: float = 120.0

    def bearer(self) -> dict[str, Any]:
        """Give the key as servers of the open protocols take it."""
        return {"Authorization": "Bearer " + self.key} if self.key else {}


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

    def exchange(self) -> Exchange:
        """Give the request that makes it serve what is wanted."""
        ...

    def load(self, send: Send) -> Response:
        """Send that request, after what has to come before it; give its answer, or that of the first one refused."""
        ...

    def hint(self, answer: Response) -> str:
        """Say what to look at after it has refused."""
        ...

    def question(self, body: bytes, kind: str) -> Exchange:
        """Give the request that lets it predict; it only reads."""
        ...

    def mark(self, answer: Any) -> str | None:
        """Give what an answer says of the model that gave it, where it says so."""
        ...
