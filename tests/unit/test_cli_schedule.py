"""`runbook schedule`: what it installs is right, starts where cron starts it, and is run by a real cron."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.private_cron import command_apart, run_apart, unable
from tests.unit.playing import COMMAND, Folder

apart = pytest.mark.skipif(bool(unable()), reason=str(unable()))
BARE = {"HOME": "/", "LOGNAME": "ops", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}  # what cron gives
BOOK = [
    {"name": "note", "shell": {"cmd": "date +%s >> {{ out | quote }}; exit {{ code }}"}},
]
INPUTS = {
    "out": {"type": "path", "required": True, "help": "where to write"},
    "code": {"type": "int", "default": 0, "help": "how to end"},
    "key": {"type": "secret", "help": "a key"},
}


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "it's 100% here")
    made.book(BOOK, name="note.yml", inputs=INPUTS)
    return made


def schedule(folder: Folder, *words: str, env: dict | None = None):
    """Run `runbook schedule` with a crontab of the test's own."""
    argv = [*COMMAND, "schedule", *words]
    env = {**os.environ, **(env or {})}
    return subprocess.run(argv, cwd=folder.path, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def table(tmp_path):
    """Give the file that a `crontab` of the test's own keeps, and the PATH on which it is found."""
    from tests.tasks.test_cron import CRONTAB

    program = tmp_path / "bin/crontab"
    program.parent.mkdir()
    program.write_text(CRONTAB)
    program.chmod(0o755)
    return program.with_name("table"), {"PATH": f"{program.parent}:/usr/bin:/bin"}


def job_of(table: Path) -> list[str]:
    begin, line, end = table.read_text().splitlines()
    assert (begin, end) == ("# BEGIN runbook: note", "# END runbook: note")
    return line.split(" ", 5)


def start(job: str) -> subprocess.CompletedProcess[str]:
    """Start a job as cron does: the bare environment, its shell, the unescaped line."""
    return subprocess.run(
        ["/bin/sh", "-c", job.replace("\\%", "%")], env=BARE, cwd="/", capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("more", ["provider=cron", "provider=systemd", "job=echo"])
def test_a_job_of_which_nothing_was_said_is_not_installed(folder, table, more):
    """It would be `true`, each minute."""
    argv = [*COMMAND, "play", "schedule.yml", "-e", "name=x", "-e", more, "--check"]
    env = {**os.environ, **table[1]}
    done = subprocess.run(argv, cwd=folder.path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "what is to be started, and when? `runbook schedule install" in done.stdout) == (1, True)


def test_installed_shown_and_removed(folder, table):
    file, env = table
    file.write_text("MAILTO=ops\n")
    words = ("install", "note", "--at", "02:05", "-e", "out=out.txt", "--state-dir", "state")
    checked = schedule(folder, *words, "--check", "--diff", env=env)
    assert checked.returncode == 0, checked.stderr
    assert "+5 2 * * * cd " in checked.stdout
    assert file.read_text() == "MAILTO=ops\n"
    assert "changed 1" in schedule(folder, *words, env=env).stdout
    assert "changed" not in schedule(folder, *words, env=env).stdout
    shown = schedule(folder, "show", env=env).stdout
    assert shown.startswith("note\n  5 2 * * * cd ")
    assert schedule(folder, "show", "note.yml", env=env).stdout == shown
    assert schedule(folder, "show", "other.yml", env=env).stdout == "there is no job 'other'\n"
    removed = schedule(folder, "remove", "note.yml", "--state-dir", "state", env=env)
    assert removed.returncode == 0
    assert "there is no job" not in removed.stdout
    assert file.read_text() == "MAILTO=ops\n"
    again = schedule(folder, "remove", "note.yml", env=env).stdout
    assert "changed" not in again
    assert "there is no job note by cron" in again


def test_the_job_is_quiet_and_reports_and_is_heard_when_it_fails(folder, table):
    file, env = table
    state = ("--state-dir", "state")
    schedule(folder, "install", "note", "--at", "02:00", "-e", "out=o 1%.txt", *state, env=env)
    *when, job = job_of(file)
    assert when == ["0", "2", "*", "*", "*"]
    assert shlex.split(job.replace("\\%", "%"))[:3] == ["cd", str(folder.path), "&&"]
    done = start(job)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder.path / "o 1%.txt").read_text().strip().isdigit()
    assert folder.newest()["status"] == "ok"
    schedule(folder, "install", "note", "--at", "02:00", "-e", "out=out.txt", "-e", "code=3", *state, env=env)
    done = start(job_of(file)[-1])
    assert done.returncode == 1
    assert "ended with rc 3" in done.stdout
    assert folder.newest()["status"] == "failed"


def test_a_log_takes_all_output_and_cron_hears_of_a_failure(folder, table):
    file, env = table
    words = ("install", "note", "--every", "15m", "--log", "cron.out", "--state-dir", "state", "-e", "out=x")
    schedule(folder, *words, env=env)
    *when, job = job_of(file)
    assert when == ["*/15", "*", "*", "*", "*"]
    done = start(job)
    assert (done.stdout, done.stderr) == ("", "")
    assert "ok, in" in (folder.path / "cron.out").read_text()
    schedule(folder, *words, "-e", "code=3", env=env)
    assert "ended with rc 3" in start(job_of(file)[-1]).stdout


def test_it_does_not_run_beside_itself(folder, table):
    """The second waits for the first; where that takes too long it is told, for a run that is left out is news."""
    file, env = table
    words = ("install", "note", "--at", "02:00", "--wait", "100ms", "--state-dir", "state", "-e", "out=x")
    schedule(folder, *words, env=env)
    job = job_of(file)[-1]
    folder.book([{"shell": {"cmd": "touch begun; cat go"}}], name="long.yml")
    os.mkfifo(folder.path / "go")
    holder = folder.start(book="long.yml")
    try:
        until = time.monotonic() + 30
        while not (folder.path / "begun").exists() and time.monotonic() < until:
            time.sleep(0.02)
        done = start(job)
        assert (done.returncode, done.stdout) == (75, "")
        assert "another run holds the lock" in done.stderr
    finally:
        (folder.path / "go").write_text("")
        folder.ended(holder)
    assert start(job).returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--at", "2:00"), 2, "is no time of day"),
        (("--at", "02:00", "--every", "1m"), 2, "when? give one of"),
        ((), 2, "when? give one of"),
        (("--every", "7m"), 2, "does not divide an hour"),
        (("--every", "90s"), 2, "does not divide an hour"),
        (("--every", "soon"), 2, "is no duration"),
        (("--every", "1m", "--weekday", "mon"), 2, "go with --at"),
        (("--at", "02:00", "--weekday", "monday"), 2, "is no day"),
        (("--at", "02:00", "--day", "31"), 2, "--day"),
        (("--at", "02:00", "--wait", "x"), 2, "--wait"),
        (("--at", "02:00", "--provider", "systemd", "--log", "x"), 2, "--log is for cron"),
        (("--at", "02:00", "-e", "code=x"), 4, "whole number"),
        (("--at", "02:00", "-e", "outt=x"), 4, "outt"),
        (("--at", "02:00", "-e", "key=0123456789"), 2, "a secret in a schedule"),
    ],
)
def test_what_is_wrong_is_said_at_once(folder, table, words, code, said):
    given = () if "outt=x" in words else ("-e", "out=x")
    done = schedule(folder, "install", "note", *given, *words, env=table[1])
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert not table[0].exists()
    assert "0123456789" not in done.stderr


def test_a_playbook_that_is_not_there(folder, table):
    done = schedule(folder, "install", "noet.yml", "--at", "02:00", env=table[1])
    assert done.returncode == 4
    assert "did you mean" in done.stderr


CALENDARS = {
    ("--at", "02:05"): "*-*-* 02:05:00",
    ("--at", "02:05", "--weekday", "mon"): "Mon *-*-* 02:05:00",
    ("--at", "23:30", "--day", "1"): "*-*-01 23:30:00",
    ("--every", "1m"): "*-*-* *:00/1:00",
    ("--every", "15m"): "*-*-* *:00/15:00",
    ("--every", "2h"): "*-*-* 00/2:00:00",
}


def test_times_as_systemd_writes_them(folder):
    """What it would be told, and that it understands it."""
    from runbook.cli.jobs import Asked, variables

    found = {}
    for words in CALENDARS:
        options = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
        options |= {"day": int(options["day"])} if "day" in options else {}
        asked = Asked(provider="systemd", environment={"PATH": "/bin", "X": "1"}, folder=Path("/srv/ops"), **options)
        told = variables(Path("/srv/daily.yml"), asked)
        found[words] = told["calendar"]
        assert told["environment_of_job"] == {"PATH": "/bin"}
        assert told["argv"][-3:] == ["-q", "--wait", {"1m": "30s", "15m": "7m30s", "2h": "1h"}.get(words[1], "10m")]
    assert found == CALENDARS


@apart
@pytest.mark.skipif(os.environ.get("RUNBOOK_FAULTS") != "all", reason="two minutes of cron: run by `make faults`")
def test_a_real_cron_runs_it_twice(folder, tmp_path):
    """Installed into a table of its own, started by a real cron each minute, with a report each; then removed."""
    state = folder.state
    install = [*COMMAND, "schedule", "install", "note.yml", "--every", "1m", "-e", "out=out.txt"]
    install += ["--state-dir", str(state), "--log", "cron.out"]
    done = run_apart(tmp_path, install, cwd=folder.path)
    assert done.returncode == 0, done.stderr
    cron = subprocess.Popen(command_apart(tmp_path, [str(shutil.which("cron")), "-f"]), env=BARE)
    try:
        until = time.monotonic() + 150
        while time.monotonic() < until and len(reports(state)) < 2:
            time.sleep(0.5)
    finally:
        cron.terminate()
        cron.wait()
    runs = reports(state)
    assert [(run["status"], run["mode"]) for run in runs[:2]] == [("ok", "run")] * 2
    stamps = [int(line) for line in (folder.path / "out.txt").read_text().split()]
    assert 55 <= stamps[1] - stamps[0] <= 65
    assert (folder.path / "cron.out").read_text().count("ok, in") == len(stamps)
    remove = [*COMMAND, "schedule", "remove", "note.yml", "--state-dir", str(state)]
    assert run_apart(tmp_path, remove, cwd=folder.path).returncode == 0
    assert run_apart(tmp_path, ["crontab", "-l"]).returncode == 1


def reports(state: Path) -> list[dict]:
    """Give the finished reports of note.yml, in order."""
    found = [json.loads(path.read_text()) for path in sorted(state.glob("runs/*/report.json"))]
    return [run for run in found if run["playbook"].endswith("note.yml") and run["status"] != "running"]


def test_the_shipped_playbook_has_every_variable_that_it_is_told():
    from runbook.cli.jobs import Asked, variables
    from runbook.playbook import shipped_playbooks

    play = yaml.safe_load(shipped_playbooks()["schedule"].read_text())[0]
    known = {*play["vars"], *play["inputs"]}
    for provider in ("cron", "systemd", "windows"):
        asked = Asked(provider=provider, environment={}, folder=Path("/"), at="02:00")
        assert set(variables(Path("/x.yml"), asked)) <= known
    assert sys.executable
