"""Which releases of a folder stay, and which may go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from runbook.changes import Remove
from runbook.host import Host
from runbook.units import Age

from .manifest import Unfit
from .releases import Release, orphans, releases
from .unpack import manifest_of


def chosen(
    host: Host, folder: Path, keep: int | None, older_than: Age | None, in_use: Sequence[Path]
) -> tuple[list[Release], list[Release]]:
    """Give the releases that go, and those that stay, the oldest first."""
    every = releases(host, folder)
    complete = [release for release in every if release.complete]
    newest = complete[-1].built if complete else None
    safe = {release.path for release in complete[-(keep or 1) :]}
    used = _used(host, folder, every, in_use)
    oldest = host.now - timedelta(seconds=float(older_than or 0))

    def goes(release: Release) -> bool:
        return (
            release.path not in safe | used
            and release.file.stat.links == 1
            and (older_than is None or release.built <= oldest)
            and newest is not None
            and release.built <= newest  # one that is just being built is not complete yet
        )

    return [release for release in every if goes(release)], [release for release in every if not goes(release)]


def _used(host: Host, folder: Path, every: Sequence[Release], in_use: Sequence[Path]) -> set[Path]:
    """Give the archives that links of the folder lead to, and those that hold a model in use."""
    links = [found.path for found in host.find(folder) if found.stat.is_link and host.stat(found.path) is not None]
    real = {host.resolve(release.path): release.path for release in every}
    used = {real[target] for link in links if (target := host.resolve(link)) in real}
    sums = {host.sha256(path) for path in in_use if (stat := host.stat(path)) is not None and stat.is_file}
    return used | {release.path for release in every if sums and _holds(host, release, sums)}


def _holds(host: Host, release: Release, sums: set[str]) -> bool:
    try:
        return not sums.isdisjoint(manifest_of(host, release.path).sums().values())
    except Unfit:
        return False  # damaged: it is of no use to anybody


def removals(host: Host, folder: Path, going: Sequence[Release]) -> Iterator[Remove]:
    """Yield what stands beside an archive before it: a run that is killed in between finds the archive again."""
    for release in going:
        for file in (*release.beside, release.file):
            yield Remove(file.path, file.stat, why=f"{(host.now - release.built).days}d old")
    for file in orphans(host, folder):
        yield Remove(file.path, file.stat, why="its archive is gone")
