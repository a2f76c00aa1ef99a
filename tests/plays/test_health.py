"""health.yml as cron calls it, on a real service: killed and restarted, never coming back, at the changes of the clock."""

import json
import os
import shutil
import subprocess
import sys
import time

import httpx
import pytest

from tests.serving import site
from tests.supervised import tiny


@pytest.fixture
def served(tmp_path):
    with tiny(tmp_path) as server:
        yield server


@pytest.fixture
def hook():
    with site({"POST /hook": (200, b"ok")}) as server:
        yield server


def line(served, *options, **inputs):
    """Give a command line that watches the service, which is known by its pid file."""
    given = {
        "cloudflared_dir": served.folder,
        "api_url": served.url.removesuffix("/health"),
        "service": "tiny",
        "pid_file": served.params["pid_file"],
        "command": json.dumps(["env", "-C", str(served.folder), *served.params["command"]]),
        "restart_log": served.folder / "tiny.log",
        "grace": "0s",
    } | inputs
    argv = [
        sys.executable,
        "-m",
        "runbook",
        "play",
        "health.yml",
        "--state-dir",
        str(served.folder / "state"),
        *options,
    ]
    for name, value in given.items():
        argv += ["-e", f"{name}={value}"]
    return argv


def watch(served, *options, before=(), env=None, **inputs):
    argv = [*before, *line(served, *options, **inputs)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env={**os.environ, **(env or {})})
    assert "Traceback" not in done.stdout + done.stderr, done
    return done


def awaited(served):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            return httpx.get(served.url).status_code
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError("it does not answer")


def test_a_killed_service_is_restarted_once_and_told_of_once(served, hook):
    hooked = {"alert_webhook": f"{hook.url}/hook", "alert_format": "json"}
    watch(served, **hooked)
    started = watch(served, **hooked)  # it has never run: the second failure starts it
    assert (started.returncode, awaited(served), served.starts) == (0, 200, 1)
    assert "attempt restart tiny" in started.stdout
    assert watch(served, "-q", **hooked).stdout == ""
    hook.asked.clear()
    served.kill()
    assert watch(served, "--check", **hooked).returncode == 0
    first, second = watch(served, **hooked), watch(served, **hooked)
    assert (first.returncode, second.returncode) == (0, 0)
    assert (awaited(served), served.starts) == (200, 2)
    for _ in range(2):
        assert watch(served, "-q", **hooked).stdout == ""
    assert [asked.json()["title"] for asked in hook.asked] == ["inside was down, and is up again after a restart"]
    told = (served.folder / "health_watch.log").read_text().splitlines()
    assert [entry.split(",")[1].split(" ")[1] for entry in told] == [
        "inside=failing",
        "inside=restarting",
        "inside=up",
        "inside=failing",
        "inside=restarting",
        "inside=up",
        "inside=up",
    ]


def test_one_that_never_comes_back_is_told_of_once_and_fails_every_run(served, hook):
    (served.folder / "broken").touch()
    hooked = {"alert_webhook": f"{hook.url}/hook", "restarts": 2, "external_url": served.url.removesuffix("/health")}
    codes = [watch(served, "-q", **hooked).returncode for _ in range(6)]
    assert codes == [0, 1, 1, 1, 1, 1]
    known = json.loads((served.folder / "health_watch.json").read_text())
    assert len(known["services"]["tiny"]["times"]) == 2
    assert [asked.json()["text"].split(" ")[0] for asked in hook.asked] == ["*inside", "*outside"]
    assert served.starts == 0


def test_a_check_writes_nothing(served):
    done = watch(served, "--check")
    assert done.returncode == 0, done
    assert not list(served.folder.glob("health_watch*"))


def test_two_at_once_are_one(served):
    with site({"GET /health": lambda _: time.sleep(1.5) or (200, {})}) as slow:
        first = subprocess.Popen(line(served, api_url=slow.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until = time.monotonic() + 20
        while not slow.asked and time.monotonic() < until:
            time.sleep(0.02)
        assert watch(served, api_url=slow.url).returncode == 75
        first.communicate()
        assert first.returncode == 0


def test_a_secret_address_is_in_no_output_and_no_file(served, hook):
    hook.routes["POST /hook/canary-0123456789"] = (500, b"no")
    inputs = {"alert_webhook": f"{hook.url}/hook/canary-0123456789", "restarts": 1}
    (served.folder / "broken").touch()
    done = [watch(served, "-v", "--diff", *more, **inputs) for more in ((), (), (), ("--json",))]
    assert len(hook.asked) == 2
    assert "could not tell webhook" in done[2].stdout
    written = [path.read_text(errors="replace") for path in served.folder.rglob("*") if path.is_file()]
    assert not any("canary" in text for text in [*written, *(run.stdout + run.stderr for run in done)])


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
@pytest.mark.parametrize(
    ("moments", "states"),
    [
        # The clock goes from 02:59:59 to 02:00:00, and from 01:59:59 to 03:00:00; the last passes are within the grace.
        (
            ("2026-10-25 02:59:00", "2026-10-25 03:00:30", "2026-10-25 03:01:00"),
            ("failing", "restarting", "restarting"),
        ),
        (("2026-03-29 01:59:30", "2026-03-29 03:00:00", "2026-03-29 03:02:30"), ("failing", "restarting", "down")),
        # A clock that was a year ahead, and is put right: nothing waits for that year to come.
        (
            ("2027-03-10 02:00:00", "2027-03-10 02:01:00", "2026-03-10 02:00:00"),
            ("failing", "restarting", "restarting"),
        ),
    ],
)
def test_changes_of_the_clock(served, moments, states):
    (served.folder / "broken").touch()
    seen = []
    for moment in moments:
        env = {"TZ": "Europe/Berlin", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
        command = json.dumps(["sleep", "60"])
        watch(served, before=("faketime", "-f", f"@{moment}"), env=env, grace="90s", command=command)
        known = json.loads((served.folder / "health_watch.json").read_text())
        seen.append(known["targets"]["inside"]["state"])
    assert tuple(seen) == states
