"""Which model came before the one that is served: in the releases, else among the exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from .manifest import Manifest, outer
from .releases import Release, releases
from .unpack import manifest_of

ENDING = ".tar.gz"


class Choice(NamedTuple):
    """A model to go back to. One that is to be unpacked first has its `archive`, and the folder that it becomes."""

    path: Path
    sha256: str
    source: str
    archive: Path | None = None
    folder: Path | None = None


class Recorded(NamedTuple):
    """The record of the last rollback, and the path of the model that is served."""

    record: Path
    served: Path


def previous(host: Host, root: Path, served: str, recorded: Recorded | None = None) -> Choice:
    """Give the model before the one whose file has the SHA-256 `served`; that one, if it is what was gone back to.

    That of the release before the one that holds it; of the newest release where none does; the export before it else.
    Damaged releases are passed over. Raises TaskFailed where there is none.
    """
    if recorded is not None and _is_recorded(host, recorded.record, served):
        return Choice(recorded.served, served, "record")
    stable = list(_stable(host, root / "releases"))
    at = next((n for n, (_, manifest) in enumerate(stable) if _sum(manifest) == served), -1)
    found = next(((r, m) for r, m in stable[at + 1 :] if _sum(m) != served), None)
    choice = _of_export(host, root / "export", served) if found is None else _of_release(host, root, *found)
    if choice is None:
        hint = "give the model to go back to by its path"
        raise TaskFailed(f"no model before {served[:12]} is in the releases or exports of {shown(root)}", hint=hint)
    return choice


def _of_export(host: Host, folder: Path, served: str) -> Choice | None:
    """Give the export before the served one; the newest other one where that is none of them."""
    exports = [each for each in host.find(folder, "*.onnx") if each.stat.is_file and each.stat.size]
    newest: Choice | None = None
    passed = False
    for each in sorted(exports, key=lambda each: (each.stat.mtime, each.path), reverse=True):
        digest = host.sha256(each.path)
        if digest == served:
            passed = True
        elif passed:
            return Choice(each.path, digest, "export")
        else:
            newest = newest or Choice(each.path, digest, "export")
    return None if passed else newest


def _is_recorded(host: Host, record: Path, served: str) -> bool:
    """Say whether the last rollback went to the model that is served; a record that is none says nothing."""
    if host.stat(record) is None:
        return False
    try:
        said = json.loads(host.read(record))
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("sha256") == served


def _stable(host: Host, folder: Path) -> Iterator[tuple[Release, Manifest]]:
    """Yield the complete releases, the newest first."""
    for release in reversed(releases(host, folder)):
        if release.complete:
            try:
                yield release, manifest_of(host, release.path)
            except TaskFailed:
                continue  # damaged: nobody goes back to it


def _sum(manifest: Manifest) -> str:
    return manifest.sums().get(manifest.model, "")


def _of_release(host: Host, root: Path, release: Release, manifest: Manifest) -> Choice:
    """Give a release's model: where it still lies, else where it will once it is unpacked."""
    digest, name = _sum(manifest), outer(manifest.model)
    here = root / name
    if (stat := host.stat(here)) is not None and stat.is_file and host.sha256(here) == digest:
        return Choice(here, digest, "release")
    folder = root / "restored" / release.path.name.removesuffix(ENDING)
    return Choice(folder / name, digest, "release", release.path, folder)
