"""The task that downloads a file: `get_url`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PositiveFloat

from runbook.changes import Change, Chmod, FileRef, Produce, Response, Stat, Write, after
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.modes import mode_bits
from runbook.task import task

from .addresses import Web, called, within
from .answers import text_of
from .describing import described

PIECE = 2**20
LARGE = 10**6
RETURNS = {
    "dest": "the file",
    "url": "where it is from",
    "checksum_src": "SHA-1 of what was downloaded",
    "checksum_dest": "SHA-1 of what was there before",
    "size": "in bytes",
    "mode": 'the permission bits, as "0644"',
    "uid": "the owner's number",
    "gid": "the group's number",
    "owner": "the owner's name",
    "group": "the group's name",
    "state": "`file`",
    "msg": "`OK (5 bytes)`, or why nothing was downloaded",
    "status_code": "the status of the answer",
    "elapsed": "how many whole seconds the download took",
    "backup_file": "where the former content is, if `backup` kept it",
}
_BSD = re.compile(r"^(\w+) ?\((?P<path>.+)\) ?= (?P<digest>[\w.]+)$")
_GNU = re.compile(r"^(?P<digest>[\w.]+)\s+(\*|\.\/|\.)?(?P<path>.+)$")


def _checkable(checksum: str) -> str:
    algorithm, _, rest = checksum.partition(":")
    if checksum and (not rest or algorithm not in hashlib.algorithms_available or algorithm.startswith("shake")):
        raise ValueError("a checksum is written ALGORITHM:DIGEST or ALGORITHM:URL, for example sha256:9f86d0…")
    if checksum and "://" not in rest and not re.fullmatch(r"[0-9a-fA-F]+", re.sub(r"\W+", "", rest)):
        raise ValueError(f"{rest!r} is no digest in hexadecimal digits")
    return checksum


class Download(Web):
    """What to download, and where to."""

    dest: str = Field(
        min_length=1, description="the file, or the folder that it goes into by the name that the server gives it"
    )
    checksum: Annotated[str, AfterValidator(_checkable)] = Field(
        "", description="what it must be: `sha256:DIGEST`, or `sha256:URL` of a file of checksums"
    )
    backup: bool = Field(default=False, description="keep the former content beside it, under a name with the time")
    tmp_dest: Path | None = Field(None, description="has no effect: it is written beside `dest`, then renamed")
    timeout: PositiveFloat = Field(10, description="how many seconds to wait for the server at a time")
    force: bool = Field(default=False, description="ask for the whole file, however new the one in `dest` is")


@task(kind="action", returns=RETURNS)
def get_url(want: Download, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Download a file, in pieces, to its place: whole and checked, or not at all.

    A file whose `checksum` is right is not asked for. Without one, the server is asked for what is newer than the file
    (with `force` in any case), and what it gives is compared. Check mode asks too, and reads what it has to compare.
    """
    algorithm, _, digest = want.checksum.partition(":")
    digest = _listed(want, digest, host) if "://" in digest else re.sub(r"\W+", "", digest).lower()
    path, there = Path(want.dest), host.stat(Path(want.dest))
    if there is not None and there.is_file and digest and not want.force and _digest(host, path, algorithm) == digest:
        changed = yield from _moded(want, path, there, host)
        attributes = " but file attributes changed" if changed else ""
        return _there(want, path, host) | {"msg": f"file already exists{attributes}"}
    unlike = bool(digest) and there is not None and there.is_file
    path, head, same = _looked_up(want, there, host, unlike=unlike)
    now = host.stat(path)
    if not same or now is None:
        return (yield from _downloaded(want, path, (algorithm, digest), host))
    yield from _moded(want, path, now, host)
    if head.status == 304:
        return _there(want, path, host) | {"status_code": 304, "msg": "HTTP Error 304: Not Modified"}
    known = _digest(host, path, "sha1")
    told = {"status_code": head.status, "msg": f"OK ({head.headers.get('content-length', 'unknown')} bytes)"}
    return _there(want, path, host) | {"checksum_src": known, "checksum_dest": known, **told}


def _there(want: Download, path: Path, host: Host) -> dict[str, Any]:
    """Give what is registered of a file that is there already."""
    known = {"url": want.shown, "dest": str(path), "checksum_src": None, "checksum_dest": None, "elapsed": 0}
    return known | described(path, host)


def _looked_up(want: Download, there: Stat | None, host: Host, *, unlike: bool) -> tuple[Path, Response, bool]:
    """Ask for the file; give where it goes, the head of the answer, and whether the file is there already.

    What is known to be `unlike`, or of another size, is not read.
    """
    found: list[tuple[Path, bool]] = []
    headers = {"Accept-Encoding": "identity"}
    if there is not None and there.is_file and not want.force and not unlike:
        headers["If-Modified-Since"] = format_datetime(datetime.fromtimestamp(there.mtime // 10**9, UTC), usegmt=True)
    total = hashlib.sha256()

    def take(head: Response) -> Callable[[bytes], object] | None:
        path = within(want.dest, head, host)
        _good(want, head)
        now = host.stat(path)
        size = head.headers.get("content-length", "")
        same = now is not None and now.is_file and not unlike and size in ("", str(now.size))
        found.append((path, head.status == 304 or same))
        return total.update if same and head.status != 304 else None

    head = host.ask(want.exchange("GET", follow=True, headers=headers), take)
    path, perhaps = found[0]
    return path, head, perhaps and (head.status == 304 or host.sha256(path) == total.hexdigest())


def _good(want: Download, head: Response) -> None:
    if head.status not in (200, 304):
        data = {"status_code": head.status, "url": want.shown, "dest": want.dest}
        raise TaskFailed(
            f"Request failed: the server answered {head.status} for {called(head)}",
            hint="is the address right, and may this user have it?",
            data=data,
        )


def _downloaded(
    want: Download, path: Path, checksum: tuple[str, str], host: Host
) -> Generator[Change, None, dict[str, Any]]:
    """Have the file made, and give what will be known of it."""
    was = host.stat(path)
    if was is not None and not was.is_file:
        raise TaskFailed(f"{path} is there, and is no file", hint="write the name of a file, or of a folder, in `dest`")
    if host.stat(path.parent) is None:
        raise TaskFailed(f"Destination {path.parent} does not exist", hint="make it before: `file: state: directory`")
    kept = None
    former = None if was is None else _digest(host, path, "sha1")
    if want.backup and was is not None:
        kept = Path(f"{path}.{host.now:%Y-%m-%d@%H:%M:%S}~")
        large = was.size > LARGE
        content = FileRef(host.resolve(path), was.size, host.sha256(path)) if large else host.read(path)
        yield Write(kept, content, mode=was.mode, was=host.stat(kept, follow=False))
    mode = mode_bits(want.mode, was.mode if was else None, umask=host.umask)
    download = Produce(path, lambda spare: _fetch(want, spare, checksum, host), mode=mode, was=was)
    yield download
    names = ("checksum_src", "status_code", "elapsed", "msg", "size")
    data = {name: after(download, _item(name)) for name in names}
    data |= {"backup_file": str(kept)} if kept else {}
    return _there(want, path, host) | {"checksum_dest": former, **data}


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda told: told[name]


def _fetch(want: Download, spare: Path, checksum: tuple[str, str], host: Host) -> dict[str, Any]:
    """Write what the server gives into a file; raises TaskFailed if it is not all of it, or not what it must be."""
    algorithm, digest = checksum
    sums = {name: hashlib.new(name, usedforsecurity=False) for name in {"sha1", algorithm or "sha1"}}
    size = 0

    with spare.open("wb") as file:

        def take(head: Response) -> Callable[[bytes], object]:
            _good(want, head)
            return put

        def put(piece: bytes) -> None:
            nonlocal size
            size += file.write(piece)
            for each in sums.values():
                each.update(piece)

        head = host.ask(want.exchange("GET", follow=True, headers={"Accept-Encoding": "identity"}), take)
    promised = head.headers.get("content-length")
    if promised and "content-encoding" not in head.headers and promised != str(size):
        raise TaskFailed(f"the download broke off: {size} of {promised} bytes came", hint="`retries` tries again")
    if digest and sums[algorithm].hexdigest() != digest:
        raise TaskFailed(f"The checksum did not match {digest}; it was {sums[algorithm].hexdigest()}.")
    return {
        "checksum_src": sums["sha1"].hexdigest(),
        "status_code": head.status,
        "elapsed": int(head.elapsed_s),
        "msg": f"OK ({promised or 'unknown'} bytes)",
        "size": size,
    }


def _listed(want: Download, url: str, host: Host) -> str:
    """Give the digest that a file of checksums has for the file that is asked for."""
    name = called(Response(0, {}, b"", 0.0, str(want.exchange("GET", follow=True, headers={}).url)))
    answer = host.ask(Download.model_validate({**dict(want), "url": url}).exchange("GET", follow=True, headers={}))
    if answer.status != 200:
        raise TaskFailed(f"the file of checksums: the server answered {answer.status}")
    lines = text_of(answer).splitlines()
    if len(lines) == 1 and len(lines[0].split()) == 1:
        return re.sub(r"\W+", "", lines[0]).lower()
    for line in lines:
        match = _BSD.match(line) or _GNU.match(line)
        if match and match["path"].lstrip("./") == name:
            return re.sub(r"\W+", "", match["digest"]).lower()
    raise TaskFailed(f"Unable to find a checksum for file '{name}'", hint="its lines are `DIGEST  NAME`")


def _digest(host: Host, path: Path, algorithm: str) -> str:
    total = hashlib.new(algorithm, usedforsecurity=False)
    with host.open(path) as file:
        while piece := file.read(PIECE):
            host.check_deadline()
            total.update(piece)
    return total.hexdigest()


def _moded(want: Download, path: Path, found: Stat, host: Host) -> Generator[Change, None, bool]:
    mode = mode_bits(want.mode, found.mode, umask=host.umask)
    if mode is None or mode == found.mode:
        return False
    yield Chmod(path, mode, was=found)
    return True
