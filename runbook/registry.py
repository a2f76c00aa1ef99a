"""From the name in a step to the task: a module is imported when it is first used."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from runbook.errors import Invalid
from runbook.suggest import suggest

if TYPE_CHECKING:
    from runbook.task import TaskSpec

ALIASES = ("ansible.builtin.", "core.")
SHIPPED = "runbook.tasks"


class Summary(NamedTuple):
    """What is known of a task without importing it."""

    name: str
    kind: str
    line: str
    extra: str = ""


class Registry:
    """Every task there is. `folders` hold a user's own `tasks/*.py` and are looked through first."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        # In a checkout the shipped tasks lie where a user's own would, and yet they are modules of a package.
        mine = [folder for folder in folders if folder.is_dir()]
        self._folders = [folder for folder in mine if not folder.samefile(shipped_folder())]
        self._modules: dict[str, list[ModuleType]] = {}
        self._specs: dict[str, TaskSpec] = {}

    def is_task(self, name: str) -> bool:
        """Say whether a key of a step may name a task: a core name, or a dotted one."""
        return plain(name) in _core() or "." in name

    def spec(self, name: str) -> TaskSpec:
        """Give a task; `Invalid` names the nearest one where there is none of that name."""
        name = plain(name)
        if name not in self._specs:
            self._specs[name] = self._find(name)
        return self._specs[name]

    def names(self) -> list[str]:
        return sorted({summary.name for summary in self.summaries()})

    def summaries(self) -> Iterator[Summary]:
        """Read what there is by its syntax; nothing is imported. A user's task hides a shipped one of its name."""
        for folder in (*self._folders, shipped_folder()):
            for file in sorted(folder.glob("*.py")):
                if file.stem != "__init__":
                    yield from _read(file, f"{file.stem}.")
        for file in sorted((shipped_folder() / "core").glob("*.py")):
            yield from _read(file, "")

    def _find(self, name: str) -> TaskSpec:
        domain, _, short = name.rpartition(".")
        for module in self._load(domain, short):
            for value in vars(module).values():
                if getattr(value, "__module__", None) == module.__name__:
                    spec = _declared(value, domain, module)
                    if spec and spec.name == name:
                        return spec
        hint = suggest(name, self.names()) or "`runbook tasks` lists the tasks"
        raise Invalid(f"unknown task {name!r}", hint=hint)

    def _load(self, domain: str, short: str) -> list[ModuleType]:
        key = domain or f"core.{_core().get(short, '')}"
        if key not in self._modules:
            modules = [_from_file(f) for d in self._folders if (f := d / f"{domain}.py").is_file()]
            if domain.isidentifier() and (shipped_folder() / f"{domain}.py").is_file():
                modules.append(importlib.import_module(f"{SHIPPED}.{domain}"))
            elif not domain and short in _core():
                modules.append(importlib.import_module(f"{SHIPPED}.core.{_core()[short]}"))
            elif domain and not modules:
                modules += _installed(domain)
            self._modules[key] = modules
        return self._modules[key]


def _declared(value: Any, domain: str, module: ModuleType) -> TaskSpec | None:
    from runbook.task import declared

    try:
        return declared(value, domain)
    except (TypeError, NameError) as error:  # its signature, or an annotation that cannot be resolved
        raise Invalid(f"{module.__file__}: {error}") from error


def plain(name: str) -> str:
    """Drop the prefixes that mean the same task: `ansible.builtin.copy` and `core.copy` are `copy`."""
    for prefix in ALIASES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def shipped_folder() -> Path:
    return Path(importlib.import_module(SHIPPED).__path__[0])


def _core() -> dict[str, str]:
    table: dict[str, str] = importlib.import_module(f"{SHIPPED}.core").WHERE
    return table


def _from_file(file: Path) -> ModuleType:
    """Import a user's own tasks; whatever goes wrong in there is theirs to mend, so it is said with its place."""
    name = f"runbook_tasks_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise Invalid(f"cannot import the tasks in {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise Invalid(f"cannot import the tasks in {file}: {type(error).__name__}: {error}") from error
    return module


def _installed(domain: str) -> list[ModuleType]:
    from importlib.metadata import entry_points

    return [point.load() for point in entry_points(group="runbook.tasks", name=domain)]


def _read(file: Path, prefix: str) -> Iterator[Summary]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return  # listed by its error as soon as a step uses it
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            said = next((words for item in node.decorator_list if (words := _decorator(item)) is not None), None)
            if said is not None:
                doc = (ast.get_docstring(node) or "").partition("\n")[0]
                name = prefix + said.get("name", node.name)
                yield Summary(name, said.get("kind", "state"), doc, said.get("extra", ""))


def _decorator(node: ast.expr) -> dict[str, str] | None:
    """Give the words of `@task(...)`, or None for another decorator."""
    call = node if isinstance(node, ast.Call) else None
    target = call.func if call else node
    if not (isinstance(target, ast.Name) and target.id == "task"):
        return None
    constants = ((word.arg, word.value) for word in (call.keywords if call else []))
    return {arg: str(value.value) for arg, value in constants if arg and isinstance(value, ast.Constant)}
