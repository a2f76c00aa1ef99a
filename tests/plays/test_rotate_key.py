"""A new key for the running service: proven, the old one dead; and back to the old one where the service will not take it."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
import yaml

from runbook.testing import plan_of, play
from tests.plays.restarted import Running


@pytest.fixture(scope="module")
def running(tmp_path_factory, digits):
    service = Running(tmp_path_factory.mktemp("rotate"), digits.good)
    subprocess.run([service.restart], check=True, timeout=60)
    try:
        yield service
    finally:
        os.kill(int((service.folder / "pid").read_text()), 15)


def test_check_mode_writes_nothing_and_says_what_it_cannot_know(running):
    before = running.env.read_bytes()
    code, out = running.rotate("--check")
    assert code == 0, out
    assert running.env.read_bytes() == before
    assert "unsure" in out
    assert running.takes(running.key())


def test_the_new_key_works_and_the_old_one_is_dead(running):
    old = running.key()
    code, out = running.rotate()
    assert code == 0, out
    new = running.key()
    assert new != old
    assert len(new) == 64
    assert running.env.read_text().startswith(f"# ours\nAPI_KEY={new}\nMODEL_PATH=")
    assert (running.takes(new), running.takes(old)) == (True, False)


def test_a_restart_that_fails_puts_the_old_key_back(running):
    old = running.key()
    (running.folder / "broken").touch()  # the first restart fails, the second does not
    before = running.env.read_bytes()
    code, out = running.rotate()
    assert code == 1
    assert "the key was not changed: 'Start the service again, by the command' failed" in out
    assert "no such unit" in out
    assert running.env.read_bytes() == before
    assert running.takes(old)


def hanging(running):
    """Give a restart that hangs once, and does nothing after that."""
    (running.folder / "hung").touch()
    script = running.folder / "hang"
    script.write_text('#!/bin/sh\ncd "$(dirname "$0")"\n[ ! -e hung ] || { rm hung; exec sleep 20; }\n')
    script.chmod(0o755)
    return script


def test_a_restart_that_hangs_puts_the_old_key_back(running):
    """By its timeout; and nothing shows where events are told as JSON."""
    old, before = running.key(), running.env.read_bytes()
    code, out = running.rotate("-e", "restart_timeout=2s", "--json", restart=hanging(running))
    ended = (line["result"] for line in map(json.loads, out.splitlines()) if line["event"] == "step_finished")
    steps = {result["name"]: result for result in ended}
    assert code == 1
    assert steps["Start the service again, by the command"]["error"]["type"] == "TimedOut"
    assert steps["See that the service takes the old key again"]["status"] == "ok"
    assert running.takes(old)
    assert running.env.read_bytes() == before


def test_a_reload_loses_no_request_and_changes_the_key(running):
    """SIGHUP, as `systemctl reload` sends it: the process stays, with the new key."""
    reload = running.folder / "reload"
    reload.write_text('#!/bin/sh\nkill -HUP "$(cat "$(dirname "$0")/pid")"\n')
    reload.chmod(0o755)
    old, pid = running.key(), (running.folder / "pid").read_text()
    began = psutil.Process(int(pid)).create_time()
    code, out = running.rotate(restart=reload)
    assert code == 0, out
    assert (running.takes(running.key()), running.takes(old)) == (True, False)
    assert psutil.Process(int(pid)).create_time() == began

    new, text = running.key(), running.env.read_text()
    running.env.write_text(text.replace(new, "short"))
    subprocess.run([reload], check=True)
    until = time.monotonic() + 20
    while "the key stays: " not in (running.folder / "api.log").read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert running.takes(new)
    running.env.write_text(text)


def test_a_run_that_is_killed_says_next_time_what_to_do(running):
    """Killed with the new key in the file and the old one in the service: no key shows, and a start is enough."""
    old, hang = running.key(), hanging(running)
    code, _ = running.rotate(restart=hang, end=lambda: running.key() != old and not (running.folder / "hung").exists())
    assert code == -9
    new = running.key()
    assert (running.takes(new), running.takes(old)) == (False, True)
    code, out = running.rotate()
    assert (code, running.key()) == (1, new)
    assert "has it been started again since the key was written?" in out
    subprocess.run([running.restart], check=True, timeout=60)
    code, out = running.rotate()
    assert code == 0, out
    assert running.takes(running.key())


def test_a_service_by_its_name(running):
    """One that runbook itself has started, known by its pid file."""
    command = [sys.executable, "-m", "runbook", "service", "--env-file", str(running.env)]
    command += ["--port", running.url.rpartition(":")[2], "--log", str(running.folder / "api.log")]
    asked = {"name": "api", "pid_file": str(running.folder / "api.pid"), "command": command}
    book = running.folder / "known.yml"

    def done(task):
        book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": [{task: asked}]}]))
        assert play(plan_of(book))["status"] == "ok"

    os.kill(int((running.folder / "pid").read_text()), 15)
    psutil.wait_procs([psutil.Process(int((running.folder / "pid").read_text()))], timeout=20)
    done("service.start")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{running.url}/health")
            break
        except OSError:
            time.sleep(0.05)
    old = running.key()
    way = ["-e", "service=api", "-e", f"pid_file={asked['pid_file']}", "-e", f"command={json.dumps(command)}"]
    try:
        code, out = running.rotate("--check", way=way)
        assert (code, running.key()) == (0, old), out
        code, out = running.rotate(way=way)
        assert code == 0, out
        assert (running.takes(running.key()), running.takes(old)) == (True, False)
    finally:
        done("service.stop")
        (running.folder / "pid").unlink()
        subprocess.run([running.restart], check=True, timeout=60)


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ((), "or 'restart' is required"),
        (("-e", "service=api", "-e", "restart=true"), "and 'restart' exclude each other"),
    ],
)
def test_one_way_has_to_be_given(running, way, told):
    before = running.env.read_bytes()
    code, out = running.rotate(way=way)
    assert code == 4
    assert told in out
    assert running.env.read_bytes() == before


def test_a_service_that_does_not_take_the_new_key_keeps_the_old_one(running):
    """Its restart says that all is well, and nothing was started."""
    old, before = running.key(), running.env.read_bytes()
    code, out = running.rotate("-e", "patience=1", restart="/bin/true")
    assert code == 1
    assert "the key was not changed: 'See that the service takes the new key' failed" in out
    assert running.env.read_bytes() == before
    assert running.takes(old)


def test_a_service_that_is_not_the_one_of_the_env_file(running):
    """Nothing is touched where the key at hand is not the one that the service takes."""
    before = running.env.read_bytes()
    running.env.write_text(running.env.read_text().replace(running.key(), "f0" * 32))
    code, out = running.rotate()
    assert code == 1
    assert "has it been started again since the key was written?" in out
    assert running.key() == "f0" * 32
    running.env.write_bytes(before)
    assert urllib.request.urlopen(f"{running.url}/health").status == 200
