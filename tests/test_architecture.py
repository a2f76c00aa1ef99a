"""The house stands: floors, sizes, borders, and what is written down of every task, exit code and option."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from runbook import errors
from runbook.tasks import core

ROOT = Path(__file__).parents[1]
FOLDERS = {"runbook": "runbook", "tasks": "runbook.tasks", "inventory": "runbook.inventory"}

# Each part with its floor: it imports from lower floors only, so there are no cycles.
FLOORS = {
    "errors": 0,  # every error and its exit code
    "suggest": 0,  # did you mean
    "forms": 0,  # how a secret may show
    "units": 0,  # the types users write
    "value": 0,  # what the engine's values have in common
    "unknown": 1,  # what only a run can tell
    "events": 1,  # what happens, as values
    "lock": 1,  # who may run
    "source": 1,  # strict YAML with positions
    "changes": 2,  # what may be done, as values
    "wire": 2,  # events as JSON
    "inputs": 2,  # what a playbook asks of its caller
    "report": 3,  # the record of a run
    "secrets": 3,  # masking, once
    "templates": 3,  # sandboxed, native, compiled once
    "host": 4,  # one machine, for real and as it would be
    "journal": 4,  # the record of a run while it goes
    "lines": 4,  # what an operator reads
    "variables": 4,  # layers, and what is looked up in them
    "task": 4,  # what a plugin is
    "playbook": 4,  # what was asked
    "hosts": 4,  # and of whom
    "envfile": 1,  # `.env` files, which no one else may read
    "service": 8,  # the reference service: it stands apart, see below
    "measure": 9,  # measuring models, in a process of its own: nobody imports it
    "crowd": 5,  # the same of many hosts, in few lines
    "console": 6,  # the one place that prints
    "folder": 5,  # one run's own folder
    "registry": 5,  # from a name to a task
    "live": 7,  # a display for terminals
    "screens": 8,  # which of them is fit
    "store": 6,  # the runs that are kept
    "plan": 6,  # every error before anything is touched
    "engine": 7,  # runs a plan
    "tasks": 5,  # what playbooks can call
    "inventory": 0,
    "testing": 8,  # for the authors of plugins
    "checkup": 8,  # what the doctor looks at
    "cli": 9,  # the command
    "demo_folder": 1,
    "demo": 9,  # the demo runs the command
    "__main__": 10,
    "": 0,  # the version
}
TASKS_MAY = {"task", "changes", "host", "units", "errors"}
LONGEST_FILE, LONGEST_FUNCTION = 250, 40
LONGER: dict[str, str] = {}


def modules() -> dict[str, Path]:
    """Give every module of the package by its name without `runbook.`."""
    found = {}
    for folder, package in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = [*package.split("."), *file.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(part for part in parts[1:] if part != "__init__")] = file
    return found


MODULES = modules()
TREES = {name: ast.parse(file.read_text("utf-8")) for name, file in MODULES.items()}


def part(module: str) -> str:
    return module.partition(".")[0]


def imports(tree: ast.AST) -> set[str]:
    """Give which of our modules are imported, also within functions; not what only the type checker reads."""
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.partition(".")[2] for name in found if name.partition(".")[0] == "runbook"}
    return {name if name in MODULES else name.rpartition(".")[0] for name in ours}


def test_every_module_has_a_floor():
    assert {part(name) for name in MODULES} == set(FLOORS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_come_from_lower_floors(name):
    mine = part(name)
    wrong = {other for other in imports(TREES[name]) if part(other) != mine and FLOORS[part(other)] >= FLOORS[mine]}
    assert not wrong, f"{name} on floor {FLOORS[mine]} imports {wrong}"


def test_within_a_part_there_are_no_cycles():
    """At module level; what a function imports it imports when it is called."""
    graph: dict[str, set[str]] = {}
    for name, tree in TREES.items():
        top = ast.Module([node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)], [])
        graph[name] = imports(top) - {name}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", [name for name in MODULES if part(name) == "tasks"])
def test_tasks_know_five_parts_of_ours(name):
    others = {part(other) for other in imports(TREES[name])} - {"tasks"}
    assert others <= TASKS_MAY


@pytest.mark.parametrize("name", MODULES)
def test_the_service_stands_apart(name):
    """The engine operates services, and is none: the command and the demo know ours, and what prepares images as it does."""
    others = {part(other) for other in imports(TREES[name])}
    if part(name) == "service":
        assert others <= {"service", "console", "envfile", "errors", "secrets", "suggest", "units", ""}
    else:
        assert "service" not in others or name.startswith(("cli.service", "demo", "measure"))


@pytest.mark.parametrize("name", MODULES)
def test_nobody_imports_the_package_bare(name):
    bare = [
        node.lineno
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Import) and any(alias.name == "runbook" for alias in node.names)
    ]
    assert bare == []


@pytest.mark.parametrize("name", MODULES)
def test_a_file_and_a_function_can_be_read_in_one_go(name):
    lines = len(MODULES[name].read_text("utf-8").splitlines())
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
        and f"{name}.{node.name}" not in LONGER
    }
    assert not long, f"functions of more than {LONGEST_FUNCTION} lines"
    assert lines <= LONGEST_FILE or name in LONGER


def test_no_exception_is_kept_that_is_not_needed():
    for entry in LONGER:
        module = entry if entry in MODULES else entry.rpartition(".")[0]
        assert module in MODULES, f"{entry} is gone: take it out of the list"


@pytest.mark.parametrize("name", MODULES)
def test_a_docstring_is_one_sentence(name):
    text = ast.get_docstring(TREES[name])
    assert text, "there is none"
    first = re.sub("`[^`]*`", "CODE", text.partition("\n\n")[0].replace("\n", " "))
    assert re.fullmatch(r"[^.!?]*([.][^\s.][^.!?]*)*[.]", first), first


def calls(tree: ast.AST) -> dict[str, list[int]]:
    found = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found[ast.unparse(node.func)].append(node.lineno)
    return found


PRINTS = {"print", "click.echo", "sys.stdout.write", "sys.stderr.write"}
EXITS = {"sys.exit", "exit", "quit", "os._exit"}
GLOBALS = {"os.chdir", "os.umask", "os.putenv", "os.unsetenv", "os.environ.update", "os.environ.setdefault"}


@pytest.mark.parametrize("name", MODULES)
def test_only_the_command_prints_and_exits(name):
    called = calls(TREES[name]).keys()
    if part(name) not in {"console", "live", "cli", "demo"}:
        assert not called & PRINTS
    if part(name) not in {"cli", "demo", "__main__"}:
        assert not called & EXITS
        raised = {ast.unparse(node.exc) for node in ast.walk(TREES[name]) if isinstance(node, ast.Raise) and node.exc}
        assert not any(text.startswith("SystemExit") for text in raised)


@pytest.mark.parametrize("name", MODULES)
def test_nobody_changes_the_process(name):
    """The environment, the working folder and the umask are everybody's."""
    assert not calls(TREES[name]).keys() & GLOBALS
    for node in ast.walk(TREES[name]):
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
        assert not any(ast.unparse(target).startswith("os.environ") for target in targets)


@pytest.mark.parametrize("name", MODULES)
def test_there_is_no_manager_and_no_silent_pass(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ClassDef):
            assert not re.search(r"(Manager|Helper|Util|Utils|Base)$", node.name)
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"a bare except in line {node.lineno}"
            assert [type(inner) for inner in node.body] != [ast.Pass], f"a silent pass in line {node.lineno}"


def declared() -> dict[str, str]:
    """Give each task that a module of `tasks/` declares, with the module."""
    found = {}
    for name, tree in TREES.items():
        for node in tree.body if part(name) == "tasks" else []:
            if isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    call = decorator if isinstance(decorator, ast.Call) else None
                    if ast.unparse(call.func if call else decorator) == "task":
                        words = {word.arg: word.value for word in (call.keywords if call else [])}
                        named = words.get("name")
                        short = named.value if isinstance(named, ast.Constant) else node.name
                        module = name.removeprefix("tasks.")
                        found[short if module.startswith("core") else f"{module}.{short}"] = module
    return found


TASKS = declared()


def test_where_core_tasks_are_is_what_their_modules_declare():
    assert {name: where.removeprefix("core.") for name, where in TASKS.items() if "core." in where} == core.WHERE


DIRECTIVES = {name for name in TASKS if "." not in name and core.WHERE[name] == "say"}


def cases_of(task: str) -> str:
    """Give the name of the folder of a task's cases; a core task's bears its full name."""
    return task if "." in task else f"core.{task}"


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_cases_and_a_page(task):
    if task in DIRECTIVES:  # it touches no host, so the cases' laws say nothing of it: whole runs show it
        files = [*(ROOT / "tests/runs").glob("*/*.yml"), *(ROOT / "tests/unit").glob("test_core_*.py")]
        assert any(re.search(rf"\b{task}\b", file.read_text("utf-8")) for file in files), "no test uses it"
    else:
        assert [*(ROOT / "tests/tasks" / cases_of(task)).glob("*.yaml")], "it has no case"
    assert (ROOT / "docs/tasks" / f"{task}.md").is_file(), "run `make docs`"


def test_nothing_is_documented_that_is_not_there():
    pages = {path.stem for path in (ROOT / "docs/tasks").glob("*.md")} - {"README"}
    folders = {path.name for path in (ROOT / "tests/tasks").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert pages == set(TASKS)
    assert folders <= set(map(cases_of, TASKS))


def test_every_exit_code_is_documented():
    found = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RunbookError)
    }
    codes = found | {0, *(128 + number for number in (1, 2, 15))}
    for page in ("docs/cli.md", "README.md"):
        text = (ROOT / page).read_text("utf-8")
        rows = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE) for code in row.split(",")}
        assert rows == codes, page


def test_no_two_modules_of_tests_have_one_name():
    """pytest takes them for one module, and collects neither."""
    named = defaultdict(list)
    for path in (ROOT / "tests").rglob("test_*.py"):
        if not (path.parent / "__init__.py").exists():
            named[path.name].append(path)
    assert not {name: paths for name, paths in named.items() if len(paths) > 1}
