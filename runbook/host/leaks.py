"""Looking for secrets in content that is about to leave the machine, in every form that masking knows."""

from __future__ import annotations

import io
from collections.abc import Iterable

from runbook.envfile import SECRET_NAME
from runbook.forms import forms_of
from runbook.units import Secret


def byte_forms(secrets: Iterable[Secret]) -> set[bytes]:
    """Give every form of the secrets in bytes; none of those that are too short."""
    texts = {form for secret in secrets for form in forms_of(secret.reveal())}
    return {text.encode("utf-8", "surrogateescape") for text in texts}


def secrets_of_env(text: str) -> list[tuple[str, Secret]]:
    """Give the variables of a `.env` file that are secrets by their names; what is not understood is passed over."""
    from dotenv.parser import parse_stream

    lines = parse_stream(io.StringIO(text))
    return [
        (line.key, Secret(line.value)) for line in lines if line.value and line.key and SECRET_NAME.search(line.key)
    ]


class Leaks:
    """Finds secrets in a content that comes in pieces, also one that two pieces share.

    `more` are other byte strings that must not be in it. Secrets of fewer than 8 characters are not looked for.
    """

    def __init__(self, secrets: Iterable[Secret], more: Iterable[bytes] = ()) -> None:
        forms = {*byte_forms(secrets), *more}
        # What holds another form is found by that one.
        self._forms = sorted(form for form in forms if not any(other != form and other in form for other in forms))
        self._overlap = max(map(len, self._forms), default=1) - 1
        self.start()

    def start(self) -> None:
        """Begin with another content."""
        self._seen, self._tail = 0, b""

    def feed(self, piece: bytes) -> int | None:
        """Take the next piece; give the position, from 0, of the first secret that is whole by now."""
        data = self._tail + piece
        found = min((at for form in self._forms if (at := data.find(form)) >= 0), default=None)
        position = None if found is None else self._seen - len(self._tail) + found
        self._seen += len(piece)
        self._tail = data[-self._overlap :] if self._overlap else b""
        return position
