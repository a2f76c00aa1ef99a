"""Whether a file may leave the machine: none that holds a secret which the run, or a `.env` beside it, knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.leaks import Leaks, byte_forms, secrets_of_env
from runbook.host.refusals import shown
from runbook.units import Secret

from .contents import Content

PIECE = 2**20
PRIVATE_KEY = b"PRIVATE KEY-----"
SMALL = 10**6  # bytes; so much is looked through while planning, so that a check foretells it


class Watch(NamedTuple):
    """What finds secrets, and the names of those that have one."""

    leaks: Leaks
    names: tuple[tuple[str, Secret], ...]


def watch(host: Host, env_files: Sequence[Path]) -> Watch:
    """Give what finds the secrets of the run and of `.env` files, and private keys."""
    found: list[tuple[str, Secret]] = []
    for env in env_files:
        text = host.read(env, limit=SMALL).decode("utf-8", "surrogateescape")
        found += [(name, secret) for name, secret in secrets_of_env(text) if not _is_path(host, secret)]
    return Watch(Leaks([*host.secrets, *(secret for _, secret in found)], [PRIVATE_KEY]), tuple(found))


def _is_path(host: Host, secret: Secret) -> bool:
    """Say whether a value only names a file, as `KEY_FILE` does: a config may name it too."""
    text = secret.reveal()
    return text.startswith("/") and "\0" not in text and host.stat(Path(text)) is not None


def refuse_small(host: Host, watched: Watch, contents: Sequence[Content]) -> None:
    """Look through the small files; the others are looked through as they are packed."""
    for content in contents:
        if content.stat.size <= SMALL:
            watched.leaks.start()
            at = watched.leaks.feed(host.read(content.path))
            if at is not None:
                raise leaked(host, watched, content.path, at)


def leaked(host: Host, watched: Watch, path: Path, position: int) -> TaskFailed:
    """Give the error that says where a file holds which secret, and nothing of the secret."""
    lines, binary, left = 1, False, position
    with host.open(path) as file:
        while left and (piece := file.read(min(left, PIECE))):
            left -= len(piece)
            lines += piece.count(b"\n")
            binary = binary or b"\0" in piece
        data = file.read(PIECE)
    where = f"byte {position}" if binary else f"line {lines}"
    name = next((name for name, secret in watched.names if data.startswith(tuple(byte_forms([secret])))), None)
    what = (
        f"the value of {name}" if name else "a private key" if data.startswith(PRIVATE_KEY) else "a secret of the run"
    )
    return TaskFailed(
        f"{shown(path)}, {where}: it holds {what}, so it does not go into a release",
        hint="take the value out, and read it from .env or the environment; if it was shared before, make a new one",
    )
