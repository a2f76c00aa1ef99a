"""Builds a release: what it will hold, whether there is one of that already, and the changes that make it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from runbook.changes import Change, Produce, Write
from runbook.errors import Moved
from runbook.host import Host
from runbook.host.files.packing import WORKERS
from runbook.host.plans import folders
from runbook.host.refusals import shown
from runbook.units import human_bytes

from . import contents, provenance, secrecy, source, sums
from .contents import Basket, Content
from .manifest import BLANK, VERSION, File, Manifest, Unfit, stamp, version_text
from .pack import Packed, pack
from .releases import STATEMENT, Release, name_of, releases
from .unpack import Limits, check, manifest_of

PIECE = 2**20
LARGE = 2**24  # bytes of an archive from which several processors hash


class Asked(NamedTuple):
    """What a release is to be made of: folders, models, and what else."""

    root: Path
    code: Path
    dest: Path
    models: contents.Models
    include: tuple[str, ...]
    version: str | None
    env_files: tuple[Path, ...]


class Gathered(NamedTuple):
    """What a release will hold; the hashes in its `draft` are blank but that of VERSION.txt. `mtime` in seconds."""

    draft: Manifest
    files: dict[str, Content]
    about: bytes
    mtime: int
    missing: list[str]
    watched: secrecy.Watch


def gather(host: Host, asked: Asked) -> Gathered:
    """Find what goes in; raises TaskFailed for what must not, and for what is not there."""
    basket = Basket(host, asked.root)
    names = [basket.add_model(path) for path in contents.models(host, basket.root, asked.models)]
    missing = contents.settings(host, basket, list(dict.fromkeys((asked.root, asked.code))))
    for path in contents.included(host, basket.root, asked.include, asked.dest):
        basket.add_model(path) if path.suffix == ".onnx" else basket.add(path)
    beside = [
        env for folder in dict.fromkeys((asked.root, asked.code)) if host.stat(env := folder / ".env") is not None
    ]
    watched = secrecy.watch(host, [*beside, *asked.env_files])
    secrecy.refuse_small(host, watched, list(basket.files.values()))
    git, committed = source.commit(host, asked.code)
    mtime = source.moment(host, committed, basket.files.values())
    created = stamp(mtime)
    about = version_text(created, git, asked.version)
    files = [File(name, content.stat.size, BLANK) for name, content in basket.files.items()]
    draft = Manifest(created, git, asked.version, names[0], tuple(sorted([*files, File(VERSION, len(about), BLANK)])))
    return Gathered(draft, basket.files, about, mtime, missing, watched)


def built_already(host: Host, gathered: Gathered, dest: Path) -> tuple[Release, Packed] | None:
    """Give the newest whole release of the very same content, whatever the times."""
    known: dict[Path, str] = {}
    for release in reversed(releases(host, dest)):
        try:
            manifest = manifest_of(host, release.path)
        except Unfit:
            continue  # damaged, or another's: release.verify says more
        blank = manifest.with_sums(dict.fromkeys(manifest.sums(), BLANK))
        if blank.content() != gathered.draft.content():
            continue
        sources = {name: content.path for name, content in gathered.files.items()}
        large = release.file.stat.size >= LARGE
        known |= _sums(host, {*sources.values(), release.path} - known.keys(), WORKERS if large else 1)
        if any(file.sha256 != known[sources[file.path]] for file in manifest.files if file.path != VERSION):
            continue
        if (found := _whole(host, release, manifest, known[release.path])) is not None:
            return release, found
    return None


def _sums(host: Host, paths: Iterable[Path], workers: int) -> dict[Path, str]:
    """Hash files, on several processors where that is worth a thread."""
    ordered = sorted(paths)
    if workers == 1:
        return {path: host.sha256(path) for path in ordered}
    with ThreadPoolExecutor(workers, "hash") as pool:
        return dict(zip(ordered, pool.map(host.sha256, ordered), strict=True))


def _whole(host: Host, release: Release, manifest: Manifest, found: str) -> Packed | None:
    """Give an archive's size and hash if it is what it was built as; one that was not completed is read through."""
    try:
        if not release.complete:
            check(host, release.path, found, Limits(manifest.size, len(manifest.files)))
        elif sums.wanted(host, release.path) != found:
            return None
    except Unfit:
        return None
    return Packed(release.file.stat.size, found, manifest)


def completing(host: Host, release: Release, packed: Packed, asked: Asked) -> Iterator[Change]:
    """Yield what a build that was ended had yet to write beside its archive."""
    name = release.path.name
    there = {found.path for found in release.beside}
    if (place := release.path.with_name(name + STATEMENT)) not in there:
        yield Write(place, provenance.statement(host, name, packed, _told(asked)))
    if (place := sums.beside(release.path)) not in there:
        yield Write(place, sums.line(packed.sha256, name))


def building(host: Host, gathered: Gathered, asked: Asked) -> Iterator[Change]:
    """Yield what builds a new release; the first that is no folder is the archive. Its SHA-256 file is the last."""
    if host.stat(asked.dest) is None:
        yield from folders(host, asked.dest)
    path = _free(host, gathered, asked.dest)

    def make_archive(spare: Path) -> Packed:
        advance = host.meter(f"packing {shown(path)}", gathered.draft.size)
        runs = frozenset(name for name, content in gathered.files.items() if content.stat.mode & 0o100)

        def pieces(name: str) -> Iterator[bytes]:
            for piece in _pieces(host, gathered, name):
                advance(len(piece))
                yield piece

        return pack(spare, gathered.draft, gathered.mtime, runs, pieces)

    archive = Produce(path, make_archive)
    yield archive

    def packed() -> Packed:
        found: Packed = archive.cell.get()
        return found

    yield Produce(
        path.with_name(path.name + STATEMENT),
        lambda spare: _put(spare, provenance.statement(host, path.name, packed(), _told(asked))),
    )
    yield Produce(sums.beside(path), lambda spare: _put(spare, sums.line(packed().sha256, path.name)))


def _put(spare: Path, data: bytes) -> None:
    spare.write_bytes(data)


def _told(asked: Asked) -> dict[str, Any]:
    models = asked.models if isinstance(asked.models, str) else [str(path) for path in asked.models]
    return {"models": models, "include": list(asked.include), "version": asked.version}


def _free(host: Host, gathered: Gathered, dest: Path) -> Path:
    number = 0
    while host.stat(path := dest / name_of(host.now, gathered.draft.git, number), follow=False) is not None:
        number += 1
    return path


def _pieces(host: Host, gathered: Gathered, name: str) -> Iterator[bytes]:
    """Yield a file's content, if it is the one that was planned on, to its last byte, and holds no secret."""
    content = gathered.files.get(name)
    if content is None:
        yield gathered.about
        return
    _refuse_changed(host, content, "since it was looked at")
    leaks = gathered.watched.leaks
    leaks.start()
    left = content.stat.size
    with host.open(content.path) as file:
        while left and (piece := file.read(min(left, PIECE))):
            left -= len(piece)
            at = leaks.feed(piece)
            if at is not None:
                raise secrecy.leaked(host, gathered.watched, content.path, at)
            yield piece
    _refuse_changed(host, content, "while it was read")
    if left:
        raise Moved(f"{shown(content.path)} lost {human_bytes(left)} while it was read")


def _refuse_changed(host: Host, content: Content, when: str) -> None:
    if not content.stat.same_as(host.stat(content.path)):
        raise Moved(
            f"{shown(content.path)} changed {when}",
            hint="is it still being written? wait for that, or leave it out of `include`",
        )
