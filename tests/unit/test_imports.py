"""Start-up imports what is needed: no library is paid for by a command that does not use it."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

HEAVY = ["pydantic", "jinja2", "httpx", "yaml", "rich", "psutil", "asyncio", "isal", "dotenv"]
SHOW = """
import json, sys
from runbook.cli import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
loaded = [name for name in json.loads({heavy!r}) if name in sys.modules]
print(json.dumps([code, loaded]), file=sys.stderr)
"""


def loaded(folder, *argv: str, expected: int = 0) -> set[str]:
    """Run the command and give which of the heavy libraries it has imported."""
    code = SHOW.format(heavy=json.dumps(HEAVY))
    argv = [sys.executable, "-c", code, *argv]
    done = subprocess.run(argv, check=True, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    status, found = json.loads(done.stderr.splitlines()[-1])
    assert status == expected, done.stdout + done.stderr
    return set(found)


@pytest.fixture
def folder(tmp_path):
    def book(name, step):
        (tmp_path / name).write_text(yaml.safe_dump([{"hosts": "localhost", "vars": {"a": "x"}, "steps": [step]}]))

    target = str(tmp_path / "made")
    book("literal.yml", {"files.present": {"path": target, "content": "x"}})
    book("names.yml", {"files.present": {"path": target, "content": "of {{ a }} on {{ inventory_hostname }}"}})
    book("filter.yml", {"files.present": {"path": target, "content": "{{ a | upper }}"}})
    return tmp_path


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["-h"], ["tasks"], ["play", "--help"], ["runs", "--help"]])
def test_what_only_tells_imports_nothing(folder, argv):
    assert loaded(folder, *argv) == set()


@pytest.mark.parametrize("book", ["literal.yml", "names.yml"])
@pytest.mark.parametrize("mode", [[], ["--check"]])
def test_a_file_play_does_without_jinja_http_and_colours(folder, book, mode):
    assert loaded(folder, "play", book, *mode) <= {"pydantic", "yaml"}


def test_jinja_comes_when_a_template_asks_for_it(folder):
    assert "jinja2" in loaded(folder, "play", "filter.yml")


def test_what_is_refused_early_costs_little(folder):
    """Another run's lock is seen, and the YAML is read, before anything is compiled."""
    (folder / "torn.yml").write_text("- hosts: [")
    assert loaded(folder, "play", "torn.yml", expected=4) <= {"yaml"}


def test_help_takes_at_most_five_times_bare_python(folder):
    """The quickest of several rounds, the two taken in turn: a busy machine slows down both."""
    bare, told = [sys.executable, "-c", "pass"], [sys.executable, "-m", "runbook", "--version"]
    best = {0: 9.0, 1: 9.0}
    for _ in range(7):
        for which, argv in enumerate((bare, told)):
            began = time.perf_counter()
            subprocess.run(argv, check=True, capture_output=True, cwd=folder, env=os.environ)
            best[which] = min(best[which], time.perf_counter() - began)
    assert best[1] <= 5 * best[0], best
