"""The controls of a service, each tried from outside: what must be refused is sent, and must be refused."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runbook.changes import Exchange, Response
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.units import Secret

from .images import GIF, form, png

REFUSED = (401, 403)
FOREIGN = "https://audit.invalid"
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """What is audited, and what its controls should be."""

    host: Host
    url: str
    env_file: Path
    key: Secret
    key_bytes: int
    routes: tuple[str, ...]
    origins: tuple[str, ...]
    max_upload_mb: float
    max_pixels: int
    timeout: float

    def ask(self, method: str, path: str, headers: dict[str, object], body: object = None) -> Response:
        return self.host.ask(Exchange(method, f"{self.url}{path}", headers, body, timeout=self.timeout))

    def upload(self, content: bytes, name: str = "audit.png", declared: str = "image/png") -> Response:
        body, headers = form(content, name, declared)
        return self.ask("POST", "/predict", dict(headers), body)


Control = Callable[[Target], Iterator[str]]


def key_of(host: Host, env_file: Path) -> Secret:
    """Read the API_KEY of an env file; an empty one where it sets none."""
    from dotenv.parser import parse_stream

    lines = parse_stream(io.StringIO(host.read(env_file).decode("utf-8", "replace")))
    keys = [line.value for line in lines if line.key == "API_KEY" and line.value]
    return Secret(keys[-1] if keys else "")


def env_file(at: Target) -> Iterator[str]:
    """See that nobody but its owner can read the env file."""
    found = at.host.stat(at.env_file, follow=False)
    if found is None or not found.is_file:
        yield f"{shown(at.env_file)} is no regular file"
    elif found.mode & 0o077:
        yield f"{shown(at.env_file)} is open to others ({found.mode:04o}); `chmod 600` it, and make a new key"


def key_length(at: Target) -> Iterator[str]:
    """See that the key holds enough random bytes."""
    text = at.key.reveal()
    held = len(text) * (4 if re.fullmatch(r"[0-9a-fA-F]*", text) else 6) // 8
    if not text:
        yield f"{shown(at.env_file)} sets no API_KEY"
    elif held < at.key_bytes:
        yield f"API_KEY holds {held} random bytes at most, and {at.key_bytes} are wanted; secret.generate makes one"
    elif len(set(text)) <= 8:
        yield "API_KEY is not random: it repeats a few characters"


def key_missing(at: Target) -> Iterator[str]:
    """See that without a key the routes that need one refuse."""
    for route in at.routes:
        if (status := at.ask("POST", route, {}, {}).status) not in REFUSED:
            yield f"POST {route} without a key is answered {status}, not 401"


def key_wrong(at: Target) -> Iterator[str]:
    """See that a wrong key is refused, also one that is nearly right."""
    right = at.key.reveal()
    near = right[:-1] + ("0" if right[-1:] != "0" else "1")
    for route in at.routes:
        for what, key in (
            ("a wrong key", "0" * 64),
            ("all of the key but its last character", near),
            ("half", right[: len(right) // 2]),
        ):
            status = at.ask("POST", route, {"X-API-Key": Secret(key)}, {}).status
            if status not in REFUSED:
                yield f"POST {route} with {what} is answered {status}, not 401"
                break


def key_right(at: Target) -> Iterator[str]:
    """See that the key of the env file is the one that the service takes."""
    status = at.ask("POST", at.routes[0], {"X-API-Key": at.key}, {}).status
    if status in REFUSED:
        yield f"POST {at.routes[0]} with the key of {shown(at.env_file)} is answered {status}: the service has another"


def cors(at: Target) -> Iterator[str]:
    """See that pages of the origins that are listed may call the service, and no others."""
    lookalikes = [f"{origin}.audit.invalid" for origin in at.origins]
    for origin in (FOREIGN, "null", *lookalikes):
        allowed = _allowed(at, origin)
        if allowed:
            yield f"a page of {origin} may call the service (Access-Control-Allow-Origin: {', '.join(allowed)})"
    for origin in at.origins:
        if origin not in _allowed(at, origin):
            yield f"a page of {origin} may not call the service, although it should"


def _allowed(at: Target, origin: str) -> list[str]:
    """Give what a browser would be told: by the preflight of an upload with a key, and by a plain request."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
    answers = at.ask("OPTIONS", "/predict", {"Origin": origin, **asked}), at.ask("GET", "/health", {"Origin": origin})
    told = {answer.headers.get("access-control-allow-origin") for answer in answers}
    return sorted(each for each in told if each in ("*", origin))


def upload_taken(at: Target) -> Iterator[str]:
    """See that a small PNG is taken: a service that refuses everything shows nothing of its controls."""
    status = at.upload(png(8, 8)).status
    if status != 200:
        yield f"a PNG of 8 x 8 pixels is answered {status}, so of uploads nothing can be told"


def upload_size(at: Target) -> Iterator[str]:
    """See that a body above the limit is refused, and told what to do instead."""
    size = int((at.max_upload_mb + 1) * MB)
    try:
        answer = at.upload(png(8, 8) + bytes(size))
    except TaskFailed as error:
        yield f"an upload of {size // MB} MB is not answered: {error.message}"
        return
    if answer.status != 413:
        yield f"an upload of {size // MB} MB is answered {answer.status}, not 413"
    elif b"/batch" not in answer.body:
        yield "an upload that is too large is refused without saying what to do: split it over requests to /batch"


def upload_pixels(at: Target) -> Iterator[str]:
    """See that an image of too many pixels is refused by what its head says."""
    side = math.isqrt(at.max_pixels) + 1
    status = at.upload(png(side, side, whole=False)).status
    if status != 413:
        yield f"an image of {side} x {side} pixels is answered {status}, not 413"


def upload_extension(at: Target) -> Iterator[str]:
    """See that a file is refused for a name that is not on the list."""
    yield from _refused_type(at.upload(png(8, 8), name="audit.exe"), "a file named audit.exe")


def upload_type(at: Target) -> Iterator[str]:
    """See that a file is refused for a declared type that is not on the list."""
    yield from _refused_type(at.upload(png(8, 8), declared="text/html"), "a file declared as text/html")


def upload_content(at: Target) -> Iterator[str]:
    """See that a file is refused for what it really holds."""
    yield from _refused_type(at.upload(b"MZ" + bytes(64)), "a program named audit.png")
    yield from _refused_type(at.upload(GIF), "a GIF named audit.png")


def _refused_type(answer: Response, what: str) -> Iterator[str]:
    if answer.status != 415:
        yield f"{what} is answered {answer.status}, not 415"


KEYS: tuple[Control, ...] = (env_file, key_length, key_missing, key_wrong, key_right)
UPLOADS: tuple[Control, ...] = (upload_size, upload_pixels, upload_extension, upload_type, upload_content)
