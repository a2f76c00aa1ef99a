"""What the engine makes of plugins that never have enough, that break, and that give garbage: a failed step each."""

import pytest
from playing import Folder

HEAD = """
import itertools, os, sys, threading, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from runbook.changes import Change, Write
from runbook.errors import TaskFailed
from runbook.task import Params, Said, task

class To(Params):
    path: Path

ever = itertools.count()

class Mute(Exception):
    def __str__(self):
        raise ValueError("cannot even say so")

class Odd:
    def __repr__(self):
        raise ValueError("no repr")

@dataclass(frozen=True, slots=True)
class Broken(Change):
    kind: ClassVar[str] = "broken"
    where: str
    @property
    def target(self):
        return "it" if self.where != "target" else 1 / 0
    def describe(self):
        return "it" if self.where != "describe" else {}["describe"]
    def apply(self, host):
        if self.where == "apply":
            raise OSError(28, "No space left on device")
        if self.where == "real" and type(host).__name__ == "LocalHost":
            raise RuntimeError("only on the machine")

def loop():
    ring = {}
    ring["ring"] = ring
    return ring
"""
# Each with the type of the error and a part of its message.
FAILS = {
    "same": (
        "yield Write(want.path / 'x', str(next(ever)).encode(), was=host.stat(want.path / 'x'))",
        "NotConverged",
        "did not converge: after it was applied it still wants write",
    ),
    "new": ("yield Write(want.path / f'n{next(ever)}', b'')", "NotConverged", "planned and applied 3 times"),
    "apply": ("yield Broken('apply')", "TaskFailed", "OSError: [Errno 28] No space left on device"),
    "real": ("yield Broken('real')", "TaskFailed", "RuntimeError: only on the machine"),
    "raises": ("return {}['no such key']", "TaskFailed", "bad.raises raised KeyError: 'no such key'"),
    "late": (
        "yield Write(want.path / 'x', b'')\n    raise ZeroDivisionError('late')",
        "TaskFailed",
        "ZeroDivisionError: late",
    ),
    "says": ("raise TaskFailed('the model is gone', hint='copy it back')", "TaskFailed", "the model is gone"),
    "exits": ("sys.exit(0)", "TaskFailed", "SystemExit: 0"),
    "interrupts": ("raise KeyboardInterrupt", "TaskFailed", "KeyboardInterrupt"),
    "closes": ("raise GeneratorExit('no generator')", "TaskFailed", "GeneratorExit: no generator"),
    "recurs": ("return recurs(want, host)", "TaskFailed", "RecursionError"),
    "mute": ("raise Mute", "TaskFailed", "raised Mute"),
    "odd_name": ("raise type('Wörse', (Exception,), {})('\\udc80 \\x1b[31m')", "TaskFailed", "Wörse"),
    "number": ("yield 42", "TaskFailed", "yielded int, which is no change"),
    "nothing": ("yield None", "TaskFailed", "yielded NoneType"),
    "kind": ("yield Write", "TaskFailed", "yielded type"),
    "listed": ("return [Write(want.path / 'x', b''), 'more']", "TaskFailed", "yielded str"),
    "target": ("yield Broken('target')", "TaskFailed", "ZeroDivisionError"),
    "describe": ("yield Broken('describe')", "TaskFailed", "KeyError: 'describe'"),
    "one_short": ("return Write(want.path / 'x')", "TaskFailed", "content"),
    "looks": ("yield Write(want.path / 'x', b'')", "TaskFailed", "is a probe, which only reads, and wants write"),
    "directs": ("return {'no': 'Said'}", "TaskFailed", "must return Said(...), not dict"),
    "ring": ("return loop()", "TaskFailed", "contains itself"),
}
KINDS = {"looks": "probe", "directs": "directive", "real": "action"}
# What a task may return that is no mapping of plain values; the report gets it as text.
GIVES = {
    "returns_number": ("return 42", {"result": 42}),
    "returns_text": ("return 'text'", {"result": "text"}),
    "returns_object": (
        "yield from ()\n    return {'where': want.path, 'what': {1, 2}, 'how': b'\\xff', 3: 4}",
        {"3": 4},
    ),
    "returns_infinite": ("yield from ()\n    return {'x': float('nan'), 'y': float('inf')}", {"x": "nan", "y": "inf"}),
    "returns_odd": ("yield from ()\n    return {'odd': Odd()}", {}),
    "returns_lone": ("yield from ()\n    return {'name': '\\udcff'}", {}),
}


def plugins() -> str:
    codes = {name: code for name, (code, *_) in [*FAILS.items(), *GIVES.items()]}
    return HEAD + "".join(
        f'\n\n@task(kind="{KINDS.get(name, "state")}")\ndef {name}(want: To, host):\n    """It is bad."""\n    {code}\n'
        for name, code in codes.items()
    )


@pytest.fixture(scope="module", params=["run", "check"])
def ended(request, tmp_path_factory):
    """All of them in one run."""
    folder = Folder(tmp_path_factory.mktemp(request.param))
    folder.plugin("bad", plugins())
    steps = []
    for name in [*FAILS, *GIVES]:
        (folder.path / name).mkdir()
        steps.append({"name": name, f"bad.{name}": {"path": str(folder.path / name)}, "ignore_errors": True})
    folder.book(steps)
    options = ["--check"] if request.param == "check" else []
    return folder, request.param, folder.play(*options)


@pytest.mark.parametrize("name", FAILS)
def test_a_failed_step_with_type_message_and_place(ended, name):
    folder, mode, run = ended
    _, kind, message = FAILS[name]
    step = run.step(name)
    if mode == "check" and name == "real":
        assert step["status"] == "changed"  # what only the machine refuses cannot be known
        return
    assert step["status"] == "failed", step
    assert step["error"]["type"] == kind
    assert message in step["error"]["message"]
    if " raised " in step["error"]["message"]:
        assert f"{folder.path / 'tasks/bad.py'}:" in step["error"]["hint"]


@pytest.mark.parametrize("name", GIVES)
def test_what_is_returned_is_kept_as_far_as_json_goes(ended, name):
    _, _, run = ended
    step = run.step(name)
    assert step["status"] == "ok", step
    assert GIVES[name][1].items() <= step["data"].items()


def test_the_run_went_on_to_its_end_without_a_traceback(ended):
    _folder, mode, run = ended
    assert (run.code, run.report["status"]) == (0, "ok")
    assert "Traceback" not in run.out + run.err
    assert run.err == ""
    assert run.report["summary"]["ignored"] == len(FAILS) - (mode == "check")


def test_what_never_has_enough_was_stopped(ended):
    folder, mode, run = ended
    written = sorted(path.parent.name for path in folder.path.glob("*/*") if path.parent.name in FAILS)
    assert written == ([] if mode == "check" else ["new", "new", "new", "same"])
    assert len(run.step("new")["changes"]) == 3
    assert [change["applied"] for change in run.step("new")["changes"]] == [True] * 3
    assert len(run.step("same")["changes"]) == 1


def test_v_shows_the_traceback(tmp_path):
    folder = Folder(tmp_path)
    folder.plugin("bad", plugins())
    folder.book([{"bad.raises": {"path": str(tmp_path)}}])
    quiet, loud = folder.play(), folder.play("-v")
    assert (quiet.code, loud.code) == (1, 1)
    assert "Traceback" not in quiet.out + quiet.err
    assert "Traceback (most recent call last)" in loud.out
    assert "return {}['no such key']" in loud.out
    assert "engine" not in loud.out, "the frames of the engine say nothing about the plugin"


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "import no_such_module", "def torn(", "1 / 0"])
def test_a_module_that_cannot_be_imported_is_found_before_the_first_step(tmp_path, code):
    folder = Folder(tmp_path)
    folder.plugin("bad", code)
    folder.book([{"files.present": {"path": str(tmp_path / "made"), "content": "x"}}, {"bad.task": {}}])
    ended = folder.play()
    assert (ended.code, ended.out, ended.report) == (4, "", None)
    assert f"cannot import the tasks in {tmp_path / 'tasks/bad.py'}" in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "made").exists()


NEVER = """
import time
from concurrent.futures import ThreadPoolExecutor
from runbook.task import Params, task

class No(Params):
    pass

@task
def sleeps(want: No, host):
    \"\"\"It never comes back.\"\"\"
    ThreadPoolExecutor().submit(time.sleep, 3600)
    time.sleep(3600)

@task
def spins(want: No, host):
    \"\"\"It never comes back, and swallows what is raised.\"\"\"
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass
"""


def test_a_plugin_that_never_returns_is_left_behind(tmp_path):
    begun = {}
    for name in ("sleeps", "spins"):
        folder = Folder(tmp_path / name)
        folder.plugin("never", NEVER)
        folder.book(
            [{f"never.{name}": {}, "timeout": "500ms", "name": "it"}, {"name": "after", "debug": {"msg": "no"}}]
        )
        begun[name] = folder, folder.start()
    for folder, process in begun.values():
        ended = folder.ended(process, wait=20)
        assert (ended.code, ended.report["status"]) == (1, "failed")
        (step,) = ended.report["steps"]
        assert (step["status"], step["error"]["type"]) == ("failed", "Abandoned")
        assert "timed out after 0.5 s" in step["error"]["message"]
        assert folder.runs()[-1].joinpath("alive").exists() is False
