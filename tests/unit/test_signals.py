"""A signal ends a run in good order: the step at work is told, no child is left, and the exit code says which signal."""

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from playing import Folder

ENDS = [(signal.SIGINT, 130, None), (signal.SIGTERM, 143, None), (signal.SIGHUP, 129, None)]


def until(test, seconds=15.0):
    """Wait until something is so, and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := test():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to be in time")


def family(mark: str) -> list[psutil.Process]:
    """Give the processes with this word among their arguments."""
    every = psutil.process_iter(["cmdline"])
    return [process for process in every if any(mark in part for part in process.info["cmdline"] or ())]


@pytest.mark.parametrize(("number", "code", "timeout"), [*ENDS, (signal.SIGINT, 130, "1h")])
def test_a_command_with_a_grandchild(tmp_path, number, code, timeout):
    folder = Folder(tmp_path)
    seconds = f"6{number}.{os.getpid()}{'1' if timeout else '2'}"  # a length of sleep that nobody else sleeps
    steps = [
        {"name": "before", "debug": {"msg": "before"}},
        {"name": "long", "shell": f"echo begun; sleep {seconds} & sleep {seconds}; true"},
        {"name": "after", "debug": {"msg": "after"}},
    ]
    if timeout:
        steps[1]["timeout"] = timeout
    block = {"block": steps, "rescue": [{"name": "rescue", "debug": {"msg": "no"}}]}
    folder.book([block, {"name": "last", "debug": {"msg": "no"}}])
    run = folder.start()
    until(lambda: len([process for process in family(seconds) if process.name() == "sleep"]) == 2)
    os.killpg(run.pid, number)
    time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # an impatient one
    ended = folder.ended(run, wait=20)
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.out + ended.err
    assert family(seconds) == []
    assert (ended.report["status"], ended.report["exit_code"]) == ("interrupted", code)
    assert [step["name"] for step in ended.report["steps"]] == ["before", "long"]
    step = ended.step("long")
    assert (step["status"], step["error"]["type"]) == ("failed", "Stopped")
    assert f"signal {number.value}" in step["error"]["message"]
    assert [change["applied"] for change in step["changes"]] == [None]
    assert "long" in ended.out
    assert f"interrupted, exit {code}" in ended.out
    assert not (folder.runs()[-1] / "alive").exists()


PLUGIN = """
import time
from pathlib import Path
from runbook.changes import Produce, Write
from runbook.task import Params, task

class Slow(Params):
    path: Path

@task
def plans(want: Slow, host):
    \"\"\"It plans for long.\"\"\"
    print("begun")
    time.sleep(60)
    yield from ()

@task
def waits(want: Slow, host):
    \"\"\"It waits for the host, having a change.\"\"\"
    yield Write(want.path, b"")
    host.sleep(60)

@task(kind="action")
def makes(want: Slow, host):
    \"\"\"It makes for long.\"\"\"
    def make(spare):
        spare.write_text("half")
        time.sleep(60)
    yield Produce(want.path, make)
"""


def begun(folder: Folder) -> bool:
    return any(b'"step_started"' in path.read_bytes() for path in folder.state.glob("runs/*/journal.jsonl"))


@pytest.mark.parametrize(
    "step",
    [
        {"slow.plans": {"path": "x"}},
        {"slow.plans": {"path": "x"}, "ignore_errors": True, "loop": [1, 2]},
        {"slow.waits": {"path": "x"}, "timeout": "1h"},
        {"pause": {"seconds": 60}},
        {"command": "false", "retries": 5, "delay": 60},
    ],
)
def test_wherever_it_is(tmp_path, step):
    folder = Folder(tmp_path)
    folder.plugin("slow", PLUGIN)
    folder.book([{"name": "it", **step}, {"name": "after", "debug": {"msg": "no"}}])
    run = folder.start()
    until(lambda: begun(folder))
    time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    ended = folder.ended(run, wait=20)
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.out + ended.err
    assert [(s["name"], s["status"]) for s in ended.report["steps"]] == [("it", "failed")]
    assert ended.report["steps"][0]["ignored"] is False
    assert ended.report["status"] == "interrupted"
    assert not (tmp_path / "x").exists()


def test_what_was_only_being_made_is_not_perhaps_done(tmp_path):
    folder = Folder(tmp_path)
    folder.plugin("slow", PLUGIN)
    folder.book([{"name": "it", "slow.makes": {"path": str(tmp_path / "x")}}])
    run = folder.start()
    until(lambda: list(tmp_path.glob(".x.*")))
    run.send_signal(signal.SIGINT)
    ended = folder.ended(run, wait=20)
    assert ended.code == 130, ended.err
    assert [change["applied"] for change in ended.step("it")["changes"]] == [False]
    assert "not done: produce" in ended.out
    assert "ended by signal 2 (SIGINT) while" in ended.out
    assert not list(tmp_path.glob("*x*"))


def test_before_the_first_step(tmp_path):
    """While it compiles, or waits for the lock, there is no run that could be interrupted."""
    folder = Folder(tmp_path)
    folder.plugin("late", "import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    folder.book([{"late.task": {}}])
    run = folder.start()
    assert run.stderr.readline() == "importing\n"  # stdout is for the run's own events
    run.send_signal(signal.SIGINT)
    ended = folder.ended(run, wait=20)
    assert (ended.code, ended.err, ended.report) == (130, "runbook: interrupted\n", None)


def test_nohup_is_heeded(tmp_path):
    """A signal that was ignored at the start stays ignored."""
    folder = Folder(tmp_path)
    folder.book([{"name": "it", "command": "sleep 0.7"}])
    run = folder.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: begun(folder))
    run.send_signal(signal.SIGHUP)
    assert folder.ended(run).code == 0


def test_killed_the_next_start_says_so(tmp_path):
    folder = Folder(tmp_path)
    target, seconds = tmp_path / "made", f"59.{os.getpid()}"
    steps = [
        {"name": "first", "files.present": {"path": str(target), "content": "x"}},
        {"name": "second", "command": f"sleep {seconds}"},
    ]
    folder.book(steps)
    folder.book([{"debug": {"msg": "well"}}], name="next.yml")
    run = folder.start()
    left = until(lambda: family(seconds))
    run.kill()
    run.communicate()
    crashed = folder.runs()[-1]
    for process in left:
        process.kill()
    assert json.loads((crashed / "report.json").read_text())["status"] == "running"
    ended = folder.play(book="next.yml")
    assert ended.code == 0
    (note,) = [line for line in ended.out.splitlines() if line.startswith("note: ")]
    assert f"run {crashed.name} of book.yml crashed at step 2 'second'" in note
    report = json.loads((crashed / "report.json").read_text())
    assert (report["status"], report["exit_code"]) == ("crashed", None)
    assert [(step["name"], step["status"]) for step in report["steps"]] == [("first", "changed"), ("second", "failed")]
    assert report["steps"][1]["error"]["type"] == "Crashed"
    assert sorted(path.name for path in crashed.iterdir()) == ["journal.jsonl", "report.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.yml", "made", "next.yml", "state"]
    third = folder.play(book="next.yml")
    assert "crashed" not in third.out
    assert Path(target).read_text() == "x"
