"""What goes into a release: settings, models with their weights, reports, and what else is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from runbook.changes import Found, Stat
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from .external import NoModel, external_data
from .manifest import MANIFEST, VERSION, inner, outer, unsafe

SETTINGS = ("config.yaml", ".env.example", "requirements.txt")
HARMLESS = (".example", ".sample", ".template", ".dist")
METRICS = "metrics*.json"
WILD = frozenset("*?[")

Models = Literal["one", "all"] | tuple[Path, ...]


class Content(NamedTuple):
    """A file of a release: its path in there, where it really is, and the status it was planned on."""

    name: str
    path: Path
    stat: Stat


class Basket:
    """What is gathered from a folder: each file once, by its own name, whatever links lead to it."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host, self.root = host, host.resolve(root)
        self.files: dict[str, Content] = {}
        self._models: dict[tuple[int, int], str] = {}

    def add(self, path: Path, name: str | None = None) -> str:
        """Take a file, or what a link leads to, and give its name in the release.

        That is its path below the root; `name` gives another, that of a file elsewhere is needed.
        """
        stat = self.host.stat(path)
        if stat is None:
            said = self.host.readlink(path)
            raise TaskFailed(f"{shown(path)} leads nowhere" if said else f"there is no {shown(path)}")
        if not stat.is_file:
            raise TaskFailed(f"{shown(path)} is no regular file; only such go into a release")
        real = self.host.resolve(path)
        for each in (path, real):
            _refuse_env(each)
        if name is None and real.is_relative_to(self.root):
            name = str(real.relative_to(self.root))
        if name is None:
            raise TaskFailed(
                f"{shown(path)} is not below {shown(self.root)}", hint="copy it there, or give its folder as `root`"
            )
        return self._put(Content(inner(name), real, stat))

    def _put(self, content: Content) -> str:
        before = self.files.get(content.name)
        reason = "the release writes one itself" if content.name in {MANIFEST, VERSION} else unsafe(content.name)
        if reason:
            raise TaskFailed(f"{shown(content.path)} cannot be {shown(content.name)} in a release: {reason}")
        if before is not None and before.path != content.path:
            raise TaskFailed(
                f"two files would be {shown(content.name)} in the release: {shown(before.path)} and"
                f" {shown(content.path)}",
                hint="rename one of them",
            )
        self.files[content.name] = content
        return content.name

    def add_model(self, path: Path) -> str:
        """Take a model with the files that hold its weights; those of a model elsewhere go into `export/`."""
        real, stat = self.host.resolve(path), self.host.stat(path)
        known = self._models.get((stat.device, stat.inode)) if stat is not None else None
        if known is not None:  # another name of one that is in it
            return known
        name = self.add(path, None if real.is_relative_to(self.root) else f"export/{real.name}")
        if stat is not None:
            self._models[stat.device, stat.inode] = name
        folder = PurePosixPath(outer(name)).parent
        for location in map(outer, _weights(self.host, real)):
            parts = PurePosixPath(location).parts
            if not location or location.startswith("/") or ".." in parts:
                raise TaskFailed(f"{shown(path)} keeps weights in {shown(location)}, which is not beside it")
            data = real.parent / location
            if self.host.stat(data) is None:
                raise TaskFailed(
                    f"{shown(path)} keeps weights in {shown(data)}, which is not there",
                    hint="a model and its .data file belong together; export it again, or copy both",
                )
            self.add(data, str(folder / location))
        return name


def _refuse_env(path: Path) -> None:
    name = path.name.lower()
    if name == ".env" or (name.startswith(".env.") and not name.endswith(HARMLESS)):
        raise TaskFailed(
            f"{shown(path)} holds secrets, so it does not go into a release",
            hint="write the names without values into .env.example, and leave it out of `include`",
        )


def _weights(host: Host, path: Path) -> list[str]:
    stat = host.stat(path)
    with host.open(path) as file:
        try:
            found: list[str] = external_data(file, stat.size if stat is not None else 0)
        except NoModel as error:
            raise TaskFailed(
                f"{shown(path)} is no ONNX model: {error}", hint="was its export ended half-way? export it again"
            ) from error
    return found


def models(host: Host, root: Path, asked: Models) -> list[Path]:
    """Give the models that are asked for, the one that is to be served first.

    "one" is what `export/latest.onnx` leads to, else the newest `export/*.onnx`; "all" is each of them.
    """
    if not isinstance(asked, str):
        return [root / path for path in asked]
    export = root / "export"
    found = [each for each in host.find(export, "*.onnx") if not each.stat.is_folder]
    latest = next((each.path for each in found if each.path.name == "latest.onnx"), None)
    newest = [each.path for each in sorted(found, key=lambda each: (-each.stat.mtime, each.path))]
    ordered = [*([latest] if latest is not None else []), *newest]
    if not ordered:
        raise TaskFailed(
            f"there is no model in {shown(export)}", hint="export one, or name it: `models: [path/to/model.onnx]`"
        )
    return ordered if asked == "all" else ordered[:1]


def settings(host: Host, basket: Basket, folders: Sequence[Path]) -> list[str]:
    """Take the settings and reports that are there; give the names of those that are not."""
    missing = []
    for name in SETTINGS:
        there = next((path for folder in folders if host.stat(path := folder / name) is not None), None)
        if there is None:
            missing.append(name)
        else:
            basket.add(there, name)
    report = basket.root / "export/export_report.json"
    if host.stat(report) is None:
        missing.append("export/export_report.json")
    else:
        basket.add(report)
    metrics = [each for each in host.find(basket.root / "reports", "metrics*.json") if each.stat.is_file]
    if metrics:
        basket.add(max(metrics, key=lambda each: (each.stat.mtime, each.path)).path)
    else:
        missing.append(f"reports/{METRICS}")
    return missing


def included(host: Host, root: Path, asked: Sequence[str], dest: Path) -> Iterator[Path]:
    """Yield the files that `include` asks for; a folder means all below it, but never the releases."""
    releases = host.resolve(dest)
    for text in asked:
        found = list(_matches(host, root, text))
        if not found:
            raise TaskFailed(f"include: nothing is {shown(text)} in {shown(root)}", hint="is it misspelt?")
        for path in found:
            if not host.resolve(path).is_relative_to(releases):
                yield path


def _matches(host: Host, root: Path, text: str) -> Iterator[Path]:
    path = root / text
    if not WILD & set(path.name):
        stat = host.stat(path)
        if stat is not None or host.readlink(path) is not None:
            yield from _below(host, Found(path, stat) if stat is not None else None, path)
        return
    deep = path.parent.name == "**"
    for found in host.find(path.parent.parent if deep else path.parent, path.name, recursive=deep):
        yield from _below(host, found, found.path)


def _below(host: Host, found: Found | None, path: Path) -> Iterator[Path]:
    if found is None or not found.stat.is_folder:
        yield path
        return
    for each in host.find(path, recursive=True):
        if not each.stat.is_folder:
            yield each.path
