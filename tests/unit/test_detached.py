"""Processes that outlive the run: started, known again, ended, whatever goes wrong on the way."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.changes.services import Daemon, Process, Start, Stop
from runbook.errors import Moved, TaskFailed, Unsure
from runbook.host import LocalHost, Overlay
from runbook.units import Secret

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
SLEEP = ("sleep", "60")


@pytest.mark.parametrize("pid", ["0", "1", "-1", "00000000001", "x"])
def test_no_pid_file_means_everybody_or_init(pid):
    assert Process.parse(f"{pid}\nstarted 1 boot b\n") is None


@pytest.fixture
def host(tmp_path):
    return LocalHost(now=NOW, cwd=tmp_path, env=dict(os.environ), run_id="test")


@pytest.fixture
def pid_file(tmp_path):
    """A pid file whose process is ended with the test."""
    path = tmp_path / "service.pid"
    yield path
    if path.exists() and (process := Process.parse(path.read_text())):
        assert process.pid > 1
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def start(host, pid_file, *argv, stay=0.05, **more):
    change = Start(Daemon(argv or SLEEP, pid_file, stay=stay, **more))
    change.apply(host)
    return change.cell.get()


def running(pid):
    """Say whether it is, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_is_started_in_a_session_of_its_own_and_known_again(host, pid_file):
    process = start(host, pid_file)
    assert Process.parse(pid_file.read_text()) == process
    assert pid_file.read_text().split("\n")[0] == str(process.pid)  # as `kill $(head -1 FILE)` wants it
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert Path(f"/proc/{process.pid}/cmdline").read_bytes() == b"sleep\x0060\x00"
    assert host.alive(process)


@pytest.mark.parametrize("other", [{"started": 1}, {"boot": "another"}, {"pid": 2**22 + 1}])
def test_another_with_its_id_is_not_taken_for_it(host, pid_file, other):
    process = start(host, pid_file)
    stranger = Process(**{"pid": process.pid, "started": process.started, "boot": process.boot} | other)
    assert not host.alive(stranger)
    assert host.end(stranger, signal=signal.SIGTERM, patience=1) == "gone"
    assert running(process.pid)


def test_it_is_ended_by_the_signal(host, pid_file):
    process = start(host, pid_file)
    stop = Stop(process)
    stop.apply(host)
    assert stop.cell.get() == "SIGTERM"
    assert not running(process.pid)


def test_one_that_does_not_listen_is_killed_with_what_it_started(host, pid_file, tmp_path):
    script = 'trap "" TERM; sleep 60 & echo $! > child; while true; do sleep 0.02; done'
    process = start(host, pid_file, "sh", "-c", script, stay=0.2)
    child = int((tmp_path / "child").read_text())
    assert host.end(process, signal=signal.SIGTERM, patience=0.1) == "SIGKILL"
    until = time.monotonic() + 5
    while running(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not running(child)


def test_what_it_leaves_behind_when_it_ends_well_is_ended_too(host, pid_file, tmp_path):
    process = start(host, pid_file, "sh", "-c", "sleep 60 & echo $! > child; exec sleep 61", stay=0.2)
    child = int((tmp_path / "child").read_text())
    assert host.end(process, signal=signal.SIGTERM, patience=5) == "SIGTERM"
    until = time.monotonic() + 5
    while running(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not running(child)


def test_its_output_is_added_to_its_log_and_its_secrets_are_in_its_environment_alone(host, pid_file, tmp_path):
    log = tmp_path / "service.log"
    log.write_text("before\n")
    start(
        host, pid_file, "sh", "-c", 'echo "$KEY"; exec sleep 60', log=log, env={"KEY": Secret("s3cret-key")}, stay=0.2
    )
    assert log.read_text() == "before\ns3cret-key\n"
    assert "s3cret-key" not in pid_file.read_text()


def test_one_that_ends_at_once_was_not_started(host, pid_file, tmp_path):
    with pytest.raises(TaskFailed, match=r"sh ended with rc 3 at once: no port"):
        start(host, pid_file, "sh", "-c", "echo no port >&2; exit 3", log=tmp_path / "log", stay=5)
    assert not pid_file.exists()


def test_what_cannot_be_executed_says_so(host, pid_file, tmp_path):
    with pytest.raises(TaskFailed, match=r"no-such-thing ended with rc 127 at once: .*not found"):
        start(host, pid_file, "no-such-thing", log=tmp_path / "log", stay=5)
    with pytest.raises(TaskFailed, match=r"its folder .*nowhere is not there"):
        start(host, pid_file, cwd=tmp_path / "nowhere")
    with pytest.raises(TaskFailed, match="cannot open"):
        start(host, pid_file, log=tmp_path)
    assert not pid_file.exists()


def test_a_pid_file_that_came_meanwhile_is_another_ones(host, pid_file):
    pid_file.write_text("1\n")
    with pytest.raises(Moved):
        start(host, pid_file)
    assert pid_file.read_text() == "1\n"


def test_an_overlay_starts_and_ends_nothing(host, pid_file):
    process = start(host, pid_file)
    overlay = Overlay(host, imagined=True)
    Stop(process).apply(overlay)
    assert running(process.pid)
    second = pid_file.with_name("second.pid")
    Start(Daemon(SLEEP, second)).apply(overlay)
    assert not second.exists()
    with pytest.raises(Unsure):
        overlay.read(second)
    with pytest.raises(TaskFailed, match="no program no-such-thing"):
        Start(Daemon(("no-such-thing",), pid_file.with_name("third.pid"))).apply(Overlay(host))


KILLED_AT = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from runbook.changes.services import Daemon, Start
from runbook.host import LocalHost
from runbook.host.processes import detached

def die(*_, **__):
    os.kill(os.getpid(), 9)

if sys.argv[2] == "before the pid file":
    LocalHost.write = die
else:
    detached._release = die
host = LocalHost(now=datetime.now(UTC), cwd=Path(sys.argv[1]), env=dict(os.environ), run_id="killed")
Start(Daemon(("sh", "-c", "echo started > witness; exec sleep 60"), Path(sys.argv[1], "service.pid"))).apply(host)
"""


@pytest.mark.parametrize("moment", ["before the pid file", "after the pid file"])
def test_runbook_killed_while_it_starts_one_leaves_none_that_nobody_knows(host, tmp_path, moment):
    done = subprocess.run([sys.executable, "-c", KILLED_AT, str(tmp_path), moment], check=False)
    assert done.returncode == -signal.SIGKILL
    pid_file = tmp_path / "service.pid"
    if moment == "after the pid file":
        process = Process.parse(pid_file.read_text())
        until = time.monotonic() + 5
        while host.alive(process) and time.monotonic() < until:
            time.sleep(0.01)
        assert not host.alive(process)
    assert not (tmp_path / "witness").exists()


def test_it_outlives_the_run(tmp_path, host):
    line = (
        "import os; from datetime import UTC, datetime; from pathlib import Path;"
        "from runbook.changes.services import Daemon, Start; from runbook.host import LocalHost;"
        "host = LocalHost(now=datetime.now(UTC), cwd=Path('.'), env=dict(os.environ), run_id='first');"
        "Start(Daemon(('sleep', '60'), Path('service.pid'), stay=0.05)).apply(host); host.stop(15); host.close()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", line], cwd=tmp_path, check=True)
    process = Process.parse((tmp_path / "service.pid").read_text())
    assert host.alive(process)
    assert host.end(process, signal=signal.SIGTERM, patience=5) == "SIGTERM"
