"""Which file a playbook's name means."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import Invalid, Where
from runbook.suggest import suggest

_ENDINGS = ("", ".yml", ".yaml")


def find_playbook(name: str) -> Path:
    """Give the file of a playbook: a path, or a name in `./`, `./playbooks/`, or among the shipped ones.

    Raises Invalid with what there is.
    """
    shipped = shipped_playbooks()
    for folder in (Path(), Path("playbooks")):
        for ending in _ENDINGS:
            path = folder / (name + ending)
            if path.is_file():
                return path
    for ending in _ENDINGS[1:]:
        found = shipped.get(name.removesuffix(ending))
        if found is not None:
            return found
    there = sorted(
        {path.stem for folder in (Path(), Path("playbooks")) for path in folder.glob("*.y*ml")} | set(shipped)
    )
    listed = f"there are: {', '.join(there)}" if there else "write the path of a YAML file"
    near = suggest(Path(name).stem, there)
    hint = f"{near}; {listed}" if near and there else listed
    if not name or Path(name).is_dir():
        raise Invalid(f"'{name}' is a folder, no playbook" if name else "a playbook has a name", hint=hint)
    raise Invalid(f"there is no playbook '{name}'", where=Where(name), hint=hint)


def shipped_playbooks() -> dict[str, Path]:
    """Give the playbooks that come with runbook: name without ending, and file."""
    from importlib.resources import files

    try:
        folder = Path(str(files("runbook.playbooks")))
    except ModuleNotFoundError:  # a checkout that is not installed
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.yml"))}
