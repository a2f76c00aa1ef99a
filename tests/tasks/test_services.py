"""Services: a real process is started, found, restarted and stopped; systemctl and sc.exe are given what they take."""

import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import list2cmdline

import httpx
import pytest
import yaml

from runbook.changes import Completed
from runbook.registry import Registry
from runbook.testing import MemoryHost, plan_of, play
from tests.supervised import tiny

CONFIG = (
    r'"C:\ProgramData\chocolatey\lib\cloudflared\tools\cloudflared.exe"'
    r' --config "C:\ProgramData\Cloudflare\cloudflared\config.yml" tunnel run 0f1e2d'
)


@pytest.fixture
def served(tmp_path):
    with tiny(tmp_path) as server:
        yield server


def steps(tmp_path, *tasks, mode="run"):
    book = tmp_path / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": list(tasks)}], sort_keys=False))
    return play(plan_of(book), mode=mode)["steps"]


def one(served, task, mode="run", **more):
    only = ("name", "pid_file") if task in ("stop", "status") else tuple(served.params)
    params = {name: served.params[name] for name in only} | more
    (result,) = steps(served.folder, {f"service.{task}": params}, mode=mode)
    return result


def answers(served):
    check = {"http.check": {"url": served.url}, "until": "it.status is defined", "register": "it", "retries": 100}
    (result,) = steps(served.folder, check | {"delay": 0.05})
    return result["status"] == "ok"


def test_a_process_from_its_start_to_its_end(served):
    first = one(served, "start")
    assert first["status"] == "changed", first["error"]
    assert answers(served)
    assert first["data"]["pid"] == served.process.pid
    assert one(served, "start")["status"] == "ok"
    assert one(served, "status")["data"] | {"pid": 0} == {
        "name": "tiny",
        "provider": "process",
        "running": True,
        "state": "running",
        "pid": 0,
    }
    again = one(served, "restart")
    assert again["status"] == "changed", again["error"]
    assert again["data"]["pid"] == served.process.pid != first["data"]["pid"]
    assert answers(served)
    assert one(served, "stop")["status"] == "changed"
    assert not (served.folder / "tiny.pid").exists()
    assert one(served, "stop")["status"] == "ok"
    assert one(served, "status")["data"]["running"] is False
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)
    assert (served.starts, (served.folder / "tiny.log").read_text()) == (2, "serving\nserving\n")


def test_a_check_says_what_a_run_would_do_and_does_nothing(served):
    would = one(served, "start", mode="check")
    assert (would["status"], [change["kind"] for change in would["changes"]]) == ("changed", ["start"])
    assert served.process is None
    one(served, "start")
    before = served.process
    for task, kinds in (("restart", ["stop", "start"]), ("stop", ["stop", "remove"]), ("start", [])):
        result = one(served, task, mode="check")
        assert [change["kind"] for change in result["changes"]] == kinds
    assert served.process == before
    assert answers(served)


def test_what_comes_after_a_start_is_unsure_in_check_mode(served):
    report = steps(
        served.folder,
        {"service.start": served.params},
        {"http.check": {"url": served.url}},
        {"service.status": {name: served.params[name] for name in ("name", "pid_file")}},
        mode="check",
    )
    assert [step["status"] for step in report] == ["changed", "unsure", "unsure"]


def test_one_that_was_killed_is_started_again(served):
    one(served, "start")
    served.kill()
    assert one(served, "status")["data"]["running"] is False
    assert one(served, "start")["status"] == "changed"
    assert answers(served)


def test_one_that_cannot_start_says_why(served):
    (served.folder / "broken").touch()
    result = one(served, "start", stay="5s")
    assert result["status"] == "failed"
    assert "ended with rc 1 at once: the port is taken by somebody else" in result["error"]["message"]
    assert not (served.folder / "tiny.pid").exists()


def command(served, **play):
    book = served.folder / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", **play, "steps": [{"service.start": served.params}]}]))
    return [sys.executable, "-m", "runbook", "play", str(book), "--json"]


def test_two_at_once_start_it_once(served, home):
    line = command(served, lock="none")
    runs = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for run in runs:
        said = run.communicate()
        assert run.returncode == 0, said
    assert answers(served)
    assert served.starts == 1


def test_it_outlives_the_command(served, home):
    run = subprocess.run(command(served), check=False, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert [json.loads(line) for line in run.stdout.splitlines()][-1]["exit_code"] == 0
    assert os.getsid(served.process.pid) == served.process.pid
    assert answers(served)


SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *show*) printf 'LoadState=loaded\\nActiveState=%s\\nSubState=x\\nMainPID=42\\n' "$(cat {state})" ;;
  *start*) echo active > {state} ;;
  *stop*) echo inactive > {state} ;;
esac
"""


def test_systemctl_is_run_as_it_is_written(tmp_path, monkeypatch):
    log, state = tmp_path / "log", tmp_path / "state"
    state.write_text("inactive")
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL.format(log=log, state=state))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    api = {"name": "api@1.service", "provider": "systemd"}
    report = steps(tmp_path, *({f"service.{task}": api} for task in ("start", "restart", "stop", "stop")))
    assert [step["status"] for step in report] == ["changed", "changed", "changed", "ok"], report
    show = "--no-ask-password show --property=LoadState,ActiveState,SubState,MainPID,UnitFileState api@1.service"
    done = [line for line in log.read_text().splitlines() if line != show]
    assert done == [f"--no-ask-password {verb} api@1.service" for verb in ("start", "restart", "stop")]


def lines(task, known, **params):
    spec = Registry().spec(f"service.{task}")
    host = MemoryHost(answers=known)
    want = spec.params(name="Cloudflared", provider="windows", **params)
    return [list2cmdline(change.command.argv) for change in spec.function(want, host)]


def test_sc_is_given_the_bytes_of_the_service_that_is_operated():
    stopped = {"sc.exe query Cloudflared": [Completed((), 0, "        STATE              : 1  STOPPED\r\n")]}
    running = {"sc.exe query Cloudflared": [Completed((), 0, "        STATE              : 4  RUNNING\r\n")]}
    other = {"sc.exe qc Cloudflared 8192": [Completed((), 0, "START_TYPE : 3 DEMAND_START\r\n")]}
    assert lines("config", other, command=CONFIG, start="auto") == [
        (
            r'sc.exe config Cloudflared binPath= "\"C:\ProgramData\chocolatey\lib\cloudflared\tools\cloudflared.exe\"'
            r' --config \"C:\ProgramData\Cloudflare\cloudflared\config.yml\" tunnel run 0f1e2d" start= auto'
        )
    ]
    assert lines("start", stopped) == ["sc.exe start Cloudflared"]
    assert lines("stop", running) == ["sc.exe stop Cloudflared"]
    assert lines("restart", {}) == [
        (
            "powershell.exe -NoProfile -NonInteractive -Command "
            "\"Restart-Service -Name 'Cloudflared' -Force -ErrorAction Stop\""
        )
    ]


@pytest.mark.parametrize(
    ("system", "pid_file", "provider"),
    [("Linux", None, "systemd"), ("Windows", None, "windows"), ("Windows", Path("/x.pid"), "process")],
)
def test_who_runs_it_is_found_out(system, pid_file, provider):
    from runbook.tasks.supervision.service import Service, chosen

    assert chosen(MemoryHost(facts={"system": system}), Service(name="x", pid_file=pid_file)) == provider


def test_a_secret_in_its_environment_is_nowhere_else(served):
    key = "canary/+='\"key-0123456789"
    result = one(served, "start", env={"API_KEY": key})
    assert result["status"] == "changed"
    environment = Path(f"/proc/{served.process.pid}/environ").read_bytes()
    assert f"API_KEY={key}".encode() in environment
    assert b"canary" not in Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
    assert "canary" not in json.dumps(result)
    assert "canary" not in served.folder.joinpath("tiny.pid").read_text()
