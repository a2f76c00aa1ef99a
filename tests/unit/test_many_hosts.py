"""Several hosts in threads: what is shared between them, and what is not."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from playing import Folder
from test_signals import family, until

PLUGIN = """
import sys
import threading
import time
from pathlib import Path
from runbook.changes import Run, RunCommand, Write
from runbook.task import Params, task
from runbook.units import Secret

together = threading.Barrier(4)
lock, now, most = threading.Lock(), 0, 0

class Named(Params):
    name: str = ""
    path: Path = Path("x")

@task(kind="probe")
def meet(want: Named, host):
    \"\"\"Wait until four hosts are here at the same time.\"\"\"
    together.wait(20)
    return {"met": True}

@task(kind="probe")
def count(want: Named, host):
    \"\"\"Count how many are here at the same time.\"\"\"
    global now, most
    with lock:
        now += 1
        most = max(most, now)
    host.sleep(0.01)
    with lock:
        now -= 1
    return {"most": most}

@task(kind="probe")
def talk(want: Named, host):
    \"\"\"Print in pieces, from this thread and from one of its own.\"\"\"
    together.wait(20)
    for part in range(20):
        print(f"{want.name} ", end="")
        print(f"says {part}")
        print(f"{want.name} errs {part}", file=sys.stderr)
    thread = threading.Thread(target=print, args=("who am I? secret-of-mine",))
    thread.start()
    thread.join()
    print(want.name, "is done", end="")
    together.wait(20)

class Key(Params):
    key: Secret
    fail: bool = False

@task(kind="probe")
def reveal(want: Key, host):
    \"\"\"Print a secret, and fail with it.\"\"\"
    print("the key is", want.key.reveal())
    if want.fail:
        raise ValueError(want.key.reveal())
    return {"key": want.key.reveal()}

@task
def hang(want: Named, host):
    \"\"\"Never come back.\"\"\"
    print("hanging")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
    yield Write(want.path, b"")

@task
def fine(want: Named, host):
    \"\"\"Make a file.\"\"\"
    if host.stat(want.path) is None:
        yield Write(want.path, want.name.encode())
"""


class Crowd(Folder):
    """A playbook's folder with an inventory of hosts, all of them this machine."""

    def __init__(self, path: Path, hosts: int) -> None:
        super().__init__(path)
        self.hosts = [f"h{number}" for number in range(1, hosts + 1)]
        listed = {name: {"ansible_connection": "local"} for name in self.hosts}
        (path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": listed}}))
        self.plugin("crowd", PLUGIN)

    def argv(self, *options: str, book: str = "book.yml") -> list[str]:
        return super().argv("-i", "inventory.yml", *options, book=book)

    def book(self, steps: list[Any], name: str = "book.yml", **play: Any) -> Path:
        return super().book(steps, name, hosts="all", **play)

    def begun(self) -> int:
        """Give how many steps have been begun."""
        journals = self.state.glob("runs/*/journal.jsonl")
        return sum(path.read_bytes().count(b'"step_started"') for path in journals)


def test_hosts_are_at_a_step_at_the_same_time(tmp_path):
    crowd = Crowd(tmp_path, 8)
    crowd.book([{"name": "it", "crowd.meet": {}}])
    assert crowd.play("--forks", "4").code == 0
    assert [step["host"] for step in crowd.newest()["steps"]] == crowd.hosts


@pytest.mark.parametrize(
    ("forks", "play", "step", "most"),
    [("1", {}, {}, 1), ("3", {}, {}, 3), ("9", {"throttle": 2}, {}, 2), ("9", {"throttle": 2}, {"throttle": 4}, 4)],
)
def test_never_more_than_may_be(tmp_path, forks, play, step, most):
    crowd = Crowd(tmp_path, 12)
    crowd.book([{"name": "it", "crowd.count": {}, "register": "seen", **step}], **play)
    ended = crowd.play(env={"RUNBOOK_FORKS": forks})
    assert ended.code == 0, ended.out
    assert max(each["data"]["most"] for each in ended.report["steps"]) <= most


@pytest.mark.parametrize("forks", ["0", "-1", "many"])
def test_forks_are_a_number_of_hosts(tmp_path, forks):
    crowd = Crowd(tmp_path, 2)
    crowd.book([{"debug": {"msg": "x"}}])
    assert crowd.play("--forks", forks).code == 2


@pytest.mark.parametrize(
    ("throttle", "code", "said"),
    [(-1, 4, "takes a whole number"), ("{{ 'x' }}", 1, "throttle must be a whole number of hosts, not 'x'")],
)
def test_a_throttle_is_a_number_too(tmp_path, throttle, code, said):
    crowd = Crowd(tmp_path, 2)
    crowd.book([{"debug": {"msg": "x"}, "throttle": throttle}])
    ended = crowd.play()
    assert (ended.code, said in ended.out + ended.err) == (code, True)


def test_what_is_printed_is_of_the_step_that_prints_it(tmp_path):
    crowd = Crowd(tmp_path, 4)
    crowd.book([{"name": "it", "crowd.talk": {"name": "{{ inventory_hostname }}"}}], vars={"key": "x"})
    ended = crowd.play("--json")
    assert ended.code == 0, ended.err
    said = [event for event in map(json.loads, ended.out.splitlines()) if event["event"] == "output"]
    for name in crowd.hosts:
        mine = [event["line"] for event in said if event["step"]["host"] == name]
        out = [line for line in mine if "errs" not in line and "who" not in line]
        assert out == [*(f"{name} says {part}" for part in range(20)), f"{name} is done"]
        assert [line for line in mine if "errs" in line] == [f"{name} errs {part}" for part in range(20)]
    assert (ended.out + ended.err).count("who am I?") == 4, "a thread of a plugin's own belongs to nobody"


def test_secrets_of_all_hosts_are_masked(tmp_path):
    crowd = Crowd(tmp_path, 8)
    keys = [f"the-key-of-{name}" for name in crowd.hosts]
    for name, key in zip(crowd.hosts, keys, strict=True):
        (tmp_path / f"{name}.env").touch(0o600)
        (tmp_path / f"{name}.env").write_text(f"API_KEY={key}\n")
    steps = [
        {"name": "print", "crowd.reveal": {"key": "{{ API_KEY }}"}},
        {"name": "say", "command": {"argv": ["cat"], "stdin": "{{ API_KEY }}"}},
        {"name": "fail", "crowd.reveal": {"key": "{{ API_KEY }}", "fail": True}},
    ]
    crowd.book(steps, env_files=["{{ inventory_hostname }}.env"])
    ended = crowd.play("-v", "--forks", "4")
    assert ended.code == 1
    record = "".join(path.read_text() for path in crowd.runs()[-1].iterdir())
    assert not [key for key in keys if key in ended.out + ended.err + record]
    assert "***" in ended.out


def test_one_file_that_all_write(tmp_path):
    """Two of one machine at the same file: neither finds the other's temporary, and none fails."""
    crowd = Crowd(tmp_path, 24)
    text = "a line of it\n" * 20_000
    (tmp_path / "source").write_text(text)
    steps = [
        {"name": "copied", "files.copy": {"src": "source", "path": f"{tmp_path}/copied"}},
        {"name": "folder", "files.directory": {"path": f"{tmp_path}/a/b/c", "parents": True}},
        {"name": "gone", "files.absent": {"path": f"{tmp_path}/source"}},
    ]
    crowd.book(steps)
    ended = crowd.play("--forks", "12")
    assert ended.code == 0, ended.out
    assert (tmp_path / "copied").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert {step["status"] for step in ended.report["steps"]} == {"ok", "changed"}


def test_a_check_of_many_hosts_on_one_overlay(tmp_path):
    crowd = Crowd(tmp_path, 24)
    (tmp_path / "old").mkdir()
    for name in crowd.hosts:
        (tmp_path / "old" / name).write_text(name)
    here = f"{tmp_path}/{{{{ inventory_hostname }}}}"
    steps = [
        {"name": "make", "files.directory": {"path": here}},
        {"name": "fill", "files.present": {"path": f"{here}/{{{{ item }}}}", "content": "x"}, "loop": [1, 2, 3]},
        {"name": "take away", "files.absent": {"path": f"{tmp_path}/old/{{{{ inventory_hostname }}}}"}},
        {"name": "look", "find": {"paths": here}, "register": "found"},
        {"name": "see", "find": {"paths": f"{tmp_path}/old"}, "register": "left"},
        {"name": "say", "debug": {"msg": "{{ found.matched }} {{ left.matched }}"}},
    ]
    crowd.book(steps)
    ended = crowd.play("--check", "--forks", "12")
    assert ended.code == 0, ended.out
    assert {step["data"]["msg"] for step in ended.report["steps"] if step["name"] == "say"} == {"3 0"}
    assert ended.report["summary"]["changed"] == 3 * 24
    assert len(list((tmp_path / "old").iterdir())) == 24


def test_one_that_is_late_is_out_and_the_others_go_on(tmp_path):
    crowd = Crowd(tmp_path, 6)
    slow = {"name": "it", "command": "{{ 'sleep 30' if inventory_hostname == 'h3' else 'true' }}", "timeout": 1}
    crowd.book([slow, {"name": "after", "debug": {"msg": "x"}}])
    ended = crowd.play()
    assert (ended.code, ended.report["summary"]["failed"]) == (1, 1)
    failed = next(step for step in ended.report["steps"] if step["status"] == "failed")
    assert (failed["host"], failed["error"]["type"]) == ("h3", "TimedOut")
    assert [step["host"] for step in ended.report["steps"] if step["name"] == "after"] == ["h1", "h2", "h4", "h5", "h6"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_children_of_all(tmp_path, number):
    crowd = Crowd(tmp_path, 6)
    seconds = f"5{number}.{os.getpid()}"
    steps = [
        {"name": "before", "debug": {"msg": "x"}},
        {"name": "long", "shell": f"sleep {seconds} & sleep {seconds}; true"},
        {"name": "after", "debug": {"msg": "x"}},
    ]
    crowd.book([{"block": steps, "rescue": [{"name": "rescue", "debug": {"msg": "x"}}]}])
    run = crowd.start("--forks", "4")
    until(lambda: len([process for process in family(seconds) if process.name() == "sleep"]) == 8)
    os.killpg(run.pid, number)
    time.sleep(0.02)
    os.killpg(run.pid, number)  # an impatient one
    ended = crowd.ended(run, wait=20)
    assert ended.code == 128 + number, ended.err
    assert "Traceback" not in ended.out + ended.err
    assert family(seconds) == []
    assert ended.report["status"] == "interrupted"
    cut = [step for step in ended.report["steps"] if step["name"] != "before"]
    assert [(step["host"], step["name"], step["error"]["type"]) for step in cut] == [
        (f"h{number}", "long", "Stopped") for number in range(1, 5)
    ]
    assert {change["applied"] for step in cut for change in step["changes"]} == {None}


@pytest.mark.parametrize("timeout", [None, "1h"])
def test_a_signal_leaves_behind_what_never_returns(tmp_path, timeout):
    crowd = Crowd(tmp_path, 4)
    limit = {"timeout": timeout} if timeout else {}
    steps = [
        {"name": "it", "crowd.hang": {}, "when": "inventory_hostname == 'h2'", **limit},
        {"name": "after", "debug": {"msg": "no"}},
    ]
    crowd.book(steps)
    run = crowd.start()
    until(lambda: crowd.begun() == 4)
    time.sleep(0.2)
    run.send_signal(signal.SIGTERM)
    ended = crowd.ended(run, wait=20)
    assert ended.code == 143, ended.err
    assert "Traceback" not in ended.out + ended.err
    told = [(step["host"], step["name"], step["status"]) for step in ended.report["steps"]]
    assert told == [("h1", "it", "skipped"), ("h2", "it", "failed"), ("h3", "it", "skipped"), ("h4", "it", "skipped")]
    assert not (crowd.runs()[-1] / "alive").exists()


def test_killed_with_several_at_work(tmp_path):
    crowd = Crowd(tmp_path, 3)
    seconds = f"58.{os.getpid()}"
    crowd.book([{"name": "first", "debug": {"msg": "x"}}, {"name": "long", "command": f"sleep {seconds}"}])
    crowd.book([{"debug": {"msg": "well"}}], name="next.yml")
    run = crowd.start()
    until(lambda: len(family(seconds)) == 3)
    run.kill()
    run.communicate()
    for process in family(seconds):
        process.kill()
    crashed = crowd.runs()[-1]
    ended = crowd.play(book="next.yml")
    assert ended.code == 0
    (note,) = re.findall(r"note: run .* crashed .*", ended.out)
    assert "step 2 'long' on h1, h2 and h3" in note
    report = json.loads((crashed / "report.json").read_text())
    told = [(step["host"], step["name"], step["status"]) for step in report["steps"]]
    assert told == [
        *((name, "first", "ok") for name in crowd.hosts),
        *((name, "long", "failed") for name in crowd.hosts),
    ]


STRESS = """
import random
from pathlib import Path
from runbook.changes import Write
from runbook.task import Params, task

class Where(Params):
    folder: Path
    host: str
    turn: int

@task
def touch(want: Where, host):
    \"\"\"Make a file, in no hurry.\"\"\"
    path = want.folder / f"{want.host}-{want.turn}"
    host.sleep(random.random() / 200)
    if host.stat(path) is None:
        yield Write(path, want.host.encode())
    host.sleep(random.random() / 200)
    return {"path": str(path), "host": want.host}
"""


@pytest.mark.parametrize(("hosts", "options"), [(50, []), (200, ["--check"])])
def test_a_crowd_in_a_hurry(tmp_path, hosts, options):
    """Many hosts, a block that fails on some, handlers and registers: all as it is with one after the other."""
    reports = []
    for forks in ("1", "32"):
        crowd = Crowd(tmp_path / forks, hosts)
        (crowd.path / "out").mkdir()
        crowd.plugin("stress", STRESS)
        mine = {"folder": f"{crowd.path}/out", "host": "{{ inventory_hostname }}"}
        fails = "inventory_hostname[-1] == '7'"
        steps = [
            {"name": "a", "stress.touch": {**mine, "turn": 1}, "register": "made", "notify": "tell"},
            {"name": "kept", "assert": {"that": "made.host == inventory_hostname"}},
            {
                "block": [{"name": "b", "fail": {"msg": "{{ made.path }}"}, "when": fails}],
                "rescue": [{"name": "c", "set_fact": {"saved": "{{ ansible_failed_result.msg }}"}}],
                "always": [{"name": "d", "stress.touch": {**mine, "turn": 2}, "register": "made"}],
            },
            {"name": "e", "debug": {"msg": "{{ saved | default('') }} {{ hostvars['h1'].made.path }}"}},
        ]
        handlers = [{"name": "tell", "debug": {"msg": "{{ made.path }}"}}]
        crowd.book(steps, handlers=handlers, serial="50%")
        ended = crowd.play("--forks", forks, *options)
        assert ended.code == 0, ended.out[-3000:]
        text = json.dumps([ended.report["steps"], ended.report["summary"], ended.report["hosts"]])
        text = text.replace(str(crowd.path), "")
        reports.append(re.sub(r'"(started_at|duration_s)": [^,]*,', "", text))
    assert reports[0] == reports[1]
