"""Inventory files to an inventory: Ansible's YAML form, with `group_vars/` and `host_vars/` beside it."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import Bug, Invalid, Problems, Where
from runbook.hosts.groups import GroupReader
from runbook.hosts.inventory import Group, Inventory, Layer
from runbook.hosts.patterns import LOCALHOST
from runbook.inputs import NAME, NAME_HINT
from runbook.source import Document, read_document

_ENDINGS = ("", ".yml", ".yaml", ".json")


def load_inventory(path: Path | None, playbook_dir: Path) -> Inventory:
    """Read an inventory file, or a folder of several; None is the shipped one, which holds localhost.

    Raises Problems with everything that is wrong in any of its files.
    """
    source = _shipped() if path is None else path
    if not source.exists():
        raise Invalid(
            "there is no such inventory", where=Where(str(source)), hint="name a YAML file, or a folder of them"
        )
    problems: list[Invalid] = []
    reader = GroupReader(problems)
    for file in _files(source) if source.is_dir() else [source]:
        document = _read(file, problems)
        if document is not None:
            reader.read(document)
    if not problems:
        reader.link()
    folder = source if source.is_dir() else source.parent
    host_layers = {host: list(layers) for host, layers in reader.hosts.items()}
    host_layers.setdefault(LOCALHOST, [])
    _vars_beside(folder, reader.groups, host_layers, problems, near="inventory")
    if playbook_dir.resolve() != folder.resolve():
        _vars_beside(playbook_dir, reader.groups, host_layers, problems, near="playbook")
    if problems:
        raise Problems(problems)
    return _inventory(source, reader, host_layers)


def _shipped() -> Path:
    from importlib.resources import files

    try:
        return Path(str(files("runbook.inventory"))) / "local.yml"
    except ModuleNotFoundError as error:
        raise Bug("the shipped inventory is missing", hint="install runbook, or name an inventory with -i") from error


def _read(file: Path, problems: list[Invalid], *, allow_empty: bool = False) -> Document | None:
    try:
        return read_document(file, allow_empty=allow_empty)
    except Problems as error:
        problems += error.problems
    except Invalid as error:
        problems.append(error)
    return None


def _files(folder: Path) -> list[Path]:
    """Give the YAML files of an inventory folder, by name."""
    found = [entry for entry in sorted(folder.iterdir()) if entry.suffix in _ENDINGS and _counts(entry)]
    return [entry for entry in found if entry.is_file()]


def _counts(entry: Path) -> bool:
    return not entry.name.startswith(".") and not entry.name.endswith("~")


def _vars_beside(
    folder: Path,
    groups: dict[str, Group],
    hosts: dict[str, list[Layer]],
    problems: list[Invalid],
    *,
    near: str,
) -> None:
    """Add what `group_vars/` and `host_vars/` of a folder say of groups and hosts that exist."""
    for name, files in _vars_files(folder / "group_vars").items():
        if name in groups:
            group = groups[name]
            layers = group.near_inventory if near == "inventory" else group.near_playbook
            layers += _layers(f"group_vars/{name}", files, problems)
    for name, files in _vars_files(folder / "host_vars").items():
        if name in hosts:
            hosts[name] += _layers(f"host_vars/{name}", files, problems)


def _vars_files(folder: Path) -> dict[str, list[Path]]:
    """Give the files of variables by the name of the group or host: `web.yml`, `web`, `web/*.yml`."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not _counts(entry):
            continue
        if entry.is_dir():
            below = [file for file in sorted(entry.rglob("*")) if file.is_file() and file.suffix in _ENDINGS]
            found.setdefault(entry.name, []).extend(file for file in below if _counts(file))
            continue
        name = entry.stem if entry.suffix in _ENDINGS else entry.name  # a host's name may hold dots
        found.setdefault(name, []).append(entry)
    return found


def _layers(label: str, files: list[Path], problems: list[Invalid]) -> list[Layer]:
    layers = []
    for file in files:
        document = _read(file, problems, allow_empty=True)
        if document is None or document.value is None:
            continue
        if not isinstance(document.value, dict):
            problems.append(document.problem("a file of variables is a mapping", hint="write `name: value` lines"))
            continue
        for name in document.value:
            if not NAME.fullmatch(name):
                message = f"'{name}' is no name for a variable"
                problems.append(document.problem(message, (name,), key=True, hint=NAME_HINT))
        layers.append(Layer(f"{label} ({document.file})", document, ()))
    return layers


def _inventory(source: Path, reader: GroupReader, host_layers: dict[str, list[Layer]]) -> Inventory:
    members = {name: reader.members(name) for name in reader.groups}
    members["all"] = list(reader.hosts)
    grouped = {host for name, hosts in members.items() if name not in ("all", "ungrouped") for host in hosts}
    members["ungrouped"] = [host for host in reader.hosts if host not in grouped]
    groups_of: dict[str, list[str]] = {}
    for name, hosts in members.items():
        for host in hosts:
            groups_of.setdefault(host, []).append(name)
    return Inventory(source, list(reader.hosts), members, reader.groups, host_layers, groups_of)
