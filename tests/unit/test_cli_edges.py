"""The command at its edges: wrong words, wrong files, closed streams, full disks; never a traceback."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playing import COMMAND, Folder

from runbook.cli import main

OK = [{"name": "hello", "debug": {"msg": "hi"}}]


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.book(OK)
    return folder


@pytest.fixture
def said(folder, capsys, monkeypatch):
    """Run what starts no run within this process, which is quicker; give its exit code and what it said."""

    def run(*argv: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder.path)
        monkeypatch.setenv("RUNBOOK_HOME", str(folder.state))
        monkeypatch.setattr(sys, "argv", ["runbook", *argv])
        monkeypatch.setattr("runbook.cli._leave", sys.exit)  # a thread of another test would end all tests, with 0
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


def command(folder: Folder, *argv: str, **how) -> subprocess.CompletedProcess:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run([*COMMAND, *argv], cwd=folder.path, text=True, check=False, **{**pipes, **how})


HELPS = [[], ["play"], ["list"], ["tasks"], ["inventory"], ["runs"], ["docs"]]
HELPS += [["runs", "list"], ["runs", "show"], ["runs", "prune"], ["docs", "tasks"]]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help(said, words):
    code, out, err = said(*words, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {' '.join(['runbook', *words])} ")
    assert said(*words, "-h")[1] == out


def test_version(folder):
    from runbook import __version__

    assert command(folder, "--version").stdout == f"runbook {__version__}\n"


def test_help_of_a_playbook_shows_what_it_asks(folder):
    inputs = {
        "where": {"type": "path", "required": True, "help": "the folder to look at"},
        "key": {"type": "secret", "default": "canary-default", "help": "who we are"},
        "size": {"type": "choice", "choices": ["small", "large"], "default": "small"},
    }
    folder.book(OK, name="asks.yml", inputs=inputs)
    book = folder.path / "asks.yml"
    book.write_text(f"# Asks for much. And says why.\n#\n{book.read_text()}")
    told = folder.play("--help", book="asks.yml")
    assert told.code == 0
    assert "\nAsks for much\n" in told.out
    for text in ("where", "path", "required", "the folder to look at", "small", "large", "who we are"):
        assert text in told.out
    assert "canary-default" not in told.out
    assert told.report is None


def test_help_of_several_plays_shows_their_inputs_in_order(folder, said):
    """What must be given stands in the first play, as a rule, and is to be read first."""
    plays = [{"first": "a", "both": "the first"}, {"both": "the second", "last": "z"}]
    inputs = [{name: {"help": text} for name, text in asked.items()} for asked in plays]
    book = [{"hosts": "localhost", "inputs": asked, "steps": [{"debug": {"msg": "x"}}]} for asked in inputs]
    (folder.path / "several.yml").write_text(yaml.safe_dump(book, sort_keys=False))
    _, out, _ = said("play", "several.yml", "--help")
    assert [line.split()[0] for line in out.splitlines()[-3:]] == ["first", "both", "last"]
    assert "the second" not in out


USAGE = [
    (["play"], "which playbook?"),
    (["play", "book.yml", "more.yml"], "unexpected extra argument"),
    (["play", "book.yml", "--chekc"], "--check"),
    (["play", "book.yml", "--wait", "soon"], "'soon' is no duration"),
    (["play", "book.yml", "--wait", "-1s"], "--wait"),
    (["play", "book.yml", "--check", "--dry-run"], "exclude each other"),
    (["play", "book.yml", "--fail-on-change"], "goes with --check"),
    (["play", "book.yml", "--report"], "requires an argument"),
    (["play", "book.yml", "--report", "nowhere/report.json"], "a folder that is not there"),
    (["play", "book.yml", "--report", "."], "is a folder"),
    (["paly", "book.yml"], "No such command 'paly'. Did you mean 'play'?"),
    (["bench", "-e", "model=x"], "No such command 'bench'. A playbook is played: runbook play bench.yml"),
    (["wat"], "No such command 'wat'.\n"),
    (["runs", "list", "--last", "0"], "--last"),
    (["runs", "wat"], "No such command"),
    ([], "Usage: runbook"),
]


@pytest.mark.parametrize(("words", "told"), USAGE)
def test_wrong_words_exit_2(folder, said, words, told):
    code, out, err = said(*words)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
    assert not folder.state.exists()


def wrong_files(path: Path) -> None:
    (path / "folder").mkdir()
    (path / "empty.yml").touch()
    (path / "binary.yml").write_bytes(bytes(range(256)) * 9)
    (path / "nul.yml").write_bytes(b"- hosts: localhost\0\n")
    (path / "large.yml").write_text("- hosts: localhost\n  vars: {x: '" + "a" * 20_000_000 + "'}\n  steps: []\n")
    (path / "bomb.yml").write_text(
        "a: &a [x,x]\n"
        + "".join(f"{b}: &{b} [*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefghijklm", "bcdefghijklmn", strict=True))
    )
    (path / "gone.yml").symlink_to("nowhere.yml")
    os.mkfifo(path / "pipe.yml")
    (path / "sock.yml").symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "name",
    [
        "folder",
        "empty.yml",
        "binary.yml",
        "nul.yml",
        "large.yml",
        "bomb.yml",
        "gone.yml",
        "pipe.yml",
        "sock.yml",
        "",
        "nope",
        "/",
        "a\nb",
    ],
)
def test_a_playbook_that_is_none(folder, said, name):
    wrong_files(folder.path)
    code, out, err = said("play", name)
    assert (code, out) == (4, ""), err
    assert err.startswith("runbook: ")
    assert "Traceback" not in err


def test_a_name_that_is_no_text(folder):
    done = command(folder, "play", "\udcff.yml")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("runbook: \\udcff.yml: there is no playbook")


@pytest.mark.parametrize("name", ["binary.yml", "large.yml", "gone.yml", "sock.yml", "nope"])
def test_an_inventory_that_is_none(folder, said, name):
    wrong_files(folder.path)
    code, out, err = said("play", "book.yml", "-i", name)
    assert (code, out) == (4, ""), err
    assert name.partition(".")[0] in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(folder):
    for name in ("book.yml", "hosts.yml"):
        (folder.path / name).touch()
        (folder.path / name).chmod(0)
    assert command(folder, "play", "book.yml").returncode == 4
    folder.book(OK, name="other.yml")
    assert command(folder, "play", "other.yml", "-i", "hosts.yml").returncode == 4


def test_json_prints_json_lines_alone(folder):
    folder.plugin(
        "loud",
        '''
        import sys
        from runbook.task import Params, task

        print("imported")

        class No(Params):
            pass

        @task(kind="probe")
        def shout(want: No, host):
            """It prints."""
            print("loud")
            print("louder", file=sys.stderr)
            return {}
        ''',
    )
    folder.book([*OK, {"loud.shout": {}}, {"command": "echo out"}, {"fail": {"msg": "no"}}])
    for options in (["-v"], ["-q", "--check"], ["--dry-run"]):
        ended = folder.play("--json", *options)
        events = [json.loads(line) for line in ended.out.splitlines()]
        assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_finished")
        assert events[-1]["exit_code"] == ended.code
        assert ended.err == "imported\n"


def test_quiet_says_nothing_unless_it_fails(folder):
    for mode in ([], ["--check"], ["--dry-run"]):
        ended = folder.play("-q", *mode)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    folder.book([*OK, {"name": "bad", "fail": {"msg": "so it is"}}])
    ended = folder.play("-q")
    assert ended.code == 1
    assert "so it is" in ended.out
    assert "hello" not in ended.out


@pytest.mark.parametrize("mode", [[], ["--check"], ["--dry-run"]])
def test_the_report_is_written_where_it_is_wanted(folder, mode):
    ended = folder.play("--report", "report.json", *mode)
    assert ended.code == 0
    copy = json.loads((folder.path / "report.json").read_text())
    assert copy == ended.report
    assert copy["mode"] == (mode[0].lstrip("-") if mode else "run")
    assert [*folder.path.glob(".*")] == []


@pytest.mark.parametrize("options", [["--wait", "soon"], ["-e", "nope=1"], ["--tags", "nope"], ["-i", "nope"]])
def test_what_does_not_run_leaves_the_report_as_it_was(folder, options):
    (folder.path / "report.json").write_text("yesterday's")
    assert folder.play("--report", "report.json", *options).code in {2, 4}
    assert (folder.path / "report.json").read_text() == "yesterday's"


def test_fail_on_change(folder):
    folder.book([{"files.present": {"path": str(folder.path / "made"), "content": "x"}}])
    assert folder.play("--check", "--fail-on-change").code == 5
    assert folder.play().code == 0
    assert folder.play("--check", "--fail-on-change").code == 0


def test_a_reader_that_goes_away_ends_no_run(folder):
    steps = [{"name": f"step {n}", "debug": {"msg": "x" * 2000}} for n in range(200)]
    folder.book([*steps, {"files.present": {"path": str(folder.path / "made"), "content": "x"}}])
    run = folder.start("-v")
    assert run.stdout.readline() != ""
    run.stdout.close()
    with run.stderr as told:
        assert told.read() == ""
    assert run.wait(30) == 0
    assert (folder.path / "made").exists()
    assert folder.newest()["status"] == "ok"


def test_a_reader_that_goes_away_ends_what_only_tells(folder):
    done = subprocess.run(
        f"{sys.executable} -m runbook tasks | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in {"0", "141"}  # 0: it was quicker than head


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_closed_streams(folder, closed):
    folder.book([*OK, {"command": "cat"}, {"files.present": {"path": str(folder.path / "made"), "content": "x"}}])
    words = " ".join(f"{number}>&-" for number in closed.split())
    line = f"exec {words}; exec {' '.join(folder.argv())}"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=folder.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (folder.path / "made").read_text() == "x"
    assert folder.newest()["status"] == "ok"
    for path in folder.state.rglob("*"):
        assert not path.is_file() or b"play 'localhost'" not in path.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_stdout(folder):
    with open("/dev/full", "w") as full:
        assert command(folder, *folder.argv()[3:], stdout=full).returncode == 0
        told = command(folder, "tasks", stdout=full)
    assert (told.returncode, told.stderr) == (
        1,
        "runbook: cannot write to stdout: [Errno 28] No space left on device\n",
    )
    assert folder.newest()["status"] == "ok"


def test_no_colour(folder):
    """On a terminal; its size and kind are the test's own."""
    import pty

    def told(**env) -> str:
        mine, theirs = pty.openpty()
        with subprocess.Popen(
            folder.argv(),
            cwd=folder.path,
            stdout=theirs,
            stderr=theirs,
            stdin=theirs,
            env={**os.environ, "TERM": "xterm", **env},
        ) as run:
            os.close(theirs)
            parts = []
            while True:
                try:
                    part = os.read(mine, 65536)
                except OSError:  # the other end is closed
                    break
                if not part:
                    break
                parts.append(part)
        os.close(mine)
        assert run.returncode == 0
        return b"".join(parts).decode()

    env = {name: value for name, value in os.environ.items() if name == "NO_COLOR"}
    assert "\x1b[" in told(NO_COLOR="") or env
    assert "\x1b" not in told(NO_COLOR="1")
    assert "\x1b" not in told(TERM="dumb")


def test_a_state_folder_that_is_none(folder):
    (folder.path / "file").touch()
    for argv in (["play", "book.yml"], ["play", "book.yml", "--check"]):
        done = command(folder, *argv, "--state-dir", "file/below")
        assert done.returncode == 1
        assert "file/below" in done.stderr
        assert "hint: " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_state_folder_that_is_read_only_or_full(folder):
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    folder.book(
        [
            {"name": f"{n}", "files.present": {"path": str(folder.path / "made"), "content": "x" * 9000}}
            for n in range(2)
        ]
    )
    fill = "head -c 65536 /dev/zero > state/fill; "
    for options, first, mode in (("ro", "", []), ("size=64k", fill, []), ("size=64k", fill, ["--check"])):
        folder.state.mkdir(exist_ok=True)
        line = f"mount -t tmpfs -o {options} none state && {{ {first} {' '.join(folder.argv(*mode))}; }}"
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", line], cwd=folder.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert ("Read-only file system" if options == "ro" else "No space left on device") in done.stderr
        assert "--state-dir" in done.stderr
        assert "report: " not in done.stdout, "there is none"
        assert not (folder.path / "made").exists(), "no run goes without its record"


def test_what_a_run_keeps_is_its_owner_s_alone(folder):
    assert folder.play().code == 0
    for path in [folder.state, *folder.state.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_disk_that_becomes_full_while_it_runs(folder):
    """The step whose changes cannot be recorded changes nothing, and the run says why it ended."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    steps = [
        {"name": f"{n}", "files.present": {"path": str(folder.path / f"made{n}"), "content": "x" * 30_000}}
        for n in range(9)
    ]
    folder.book(steps)
    folder.state.mkdir()
    line = f"mount -t tmpfs -o size=128k none state && {' '.join(folder.argv('--diff'))}; rc=$?; cp -r state kept; exit $rc"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", line], cwd=folder.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    (report,) = (folder.path / "kept").glob("runs/*/report.json")
    record = json.loads(report.read_text())
    made = {path.name for path in folder.path.glob("made*")}
    assert 0 < len(made) < 9
    told = {Path(change["target"]).name for step in record["steps"] for change in step["changes"] if change["applied"]}
    assert told <= made


def test_the_list_says_what_each_playbook_is_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    play = "- name: First\n  hosts: localhost\n  steps: [{debug: {msg: hi}}]\n"
    (tmp_path / "told.yml").write_text(
        f"# The morning's look at all of it,\n# and more. Not this.\n#\n#   code\n{play}"
    )
    (tmp_path / "untold.yml").write_text(play)
    said = subprocess.run([*COMMAND, "list"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(None, 1) for line in said[:2]] == [
        ["told.yml", "The morning's look at all of it, and more"],
        ["untold.yml", "First"],
    ]
