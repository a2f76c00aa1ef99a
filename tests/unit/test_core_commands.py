"""command and shell on a real machine, and what is known of them in check mode."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbook.engine.rounds import Record, perform
from runbook.errors import TaskFailed
from runbook.host import LocalHost, Overlay
from runbook.task import declared
from runbook.tasks.core import commands
from runbook.units import Secret
from runbook.unknown import Unknown

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)


class Quiet:
    def planned(self, changes, attempt): ...
    def applied(self, position): ...
    def settled(self, *, ok): ...


@pytest.fixture
def host(tmp_path):
    return LocalHost(
        now=NOW, cwd=tmp_path, env={**os.environ, "WHO": "me", "HOME": "/home/of me"}, run_id="1", umask=0o22
    )


def run(name, host, **params):
    spec = declared(getattr(commands, name), "")
    record = Record()
    host = host.begin("step 1 'it'")
    perform(spec, spec.params.model_validate(params), host, record, Quiet())
    return record


def test_a_command_is_run_and_heard(host):
    record = run("command", host, cmd="sh -c 'echo out; echo; echo err >&2'")
    data = record.data
    assert (data["rc"], data["stdout"], data["stdout_lines"], data["stderr_lines"]) == (0, "out", ["out"], ["err"])
    assert data["cmd"] == ["sh", "-c", "echo out; echo; echo err >&2"]
    assert data["start"] <= data["end"]
    assert data["delta"].startswith("0:00:0")
    assert [change["applied"] for change in record.changes] == [True]


def test_empty_ends_stay_where_they_are_wanted(host):
    assert run("command", host, cmd="printf 'a\\n\\n'", strip_empty_ends=False).data["stdout"] == "a\n\n"


def test_a_failing_command_keeps_what_it_returned(host):
    with pytest.raises(TaskFailed, match="ended with rc 3: no such model") as failed:
        run("shell", host, cmd="echo partly; echo no such model >&2; exit 3")
    data = failed.value.data
    assert (data["rc"], data["msg"], data["stdout_lines"]) == (3, "non-zero return code", ["partly"])


def test_a_killed_command_says_so(host):
    with pytest.raises(TaskFailed, match="killed by signal 9"):
        run("shell", host, cmd="kill -9 $$")


def test_no_shell_no_pipes(host):
    assert run("command", host, argv=["echo", "a | b", "$(date)", 5]).data["stdout"] == "a | b $(date) 5"


def test_variables_of_the_environment_are_put_in(host):
    assert (
        run("command", host, cmd="echo $WHO ${WHO}s $NOBODY ~/x a~").data["stdout"] == "me mes $NOBODY /home/of me/x a~"
    )
    assert run("command", host, cmd="echo $WHO").data["cmd"] == ["echo", "$WHO"]
    assert run("command", host, argv=["echo", "$WHO"], expand_argument_vars=False).data["stdout"] == "$WHO"


def test_shell_has_pipes_and_may_be_another(host):
    assert run("shell", host, cmd="echo a b | wc -w").data["stdout"].strip() == "2"
    assert run("shell", host, cmd="echo ${BASH_VERSION:+yes}", executable="/bin/bash").data["stdout"] == "yes"


def test_stdin(host):
    assert run("command", host, cmd="wc -l", stdin="one").data["stdout"].strip() == "1"
    assert run("command", host, cmd="wc -c", stdin="one", stdin_add_newline=False).data["stdout"].strip() == "3"
    assert run("command", host, cmd="cat", stdin=Secret("hidden")).data["stdout"] == "hidden"


def test_chdir(host, tmp_path):
    (tmp_path / "below").mkdir()
    assert run("command", host, cmd="pwd", chdir=tmp_path / "below").data["stdout"] == str(tmp_path / "below")
    with pytest.raises(TaskFailed, match="nowhere"):
        run("command", host, cmd="pwd", chdir=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("params", "there", "ran"),
    [
        ({"creates": "made"}, True, False),
        ({"creates": "made"}, False, True),
        ({"creates": "*/ma?e"}, True, True),
        ({"creates": "m[a]d*"}, True, False),
        ({"creates": "*idden"}, True, True),
        ({"creates": ".hid*"}, True, False),
        ({"removes": "made"}, True, True),
        ({"removes": "made"}, False, False),
    ],
)
def test_creates_and_removes(host, tmp_path, params, there, ran):
    if there:
        (tmp_path / "made").touch()
        (tmp_path / ".hidden").touch()
    record = run("command", host, cmd="true", **params)
    assert bool(record.changes) is ran
    assert record.data["rc"] == 0
    if not ran:
        (name,) = params.values()
        how = "does not exist" if "removes" in params else "exists"
        assert record.data["msg"] == f"Did not run command since '{name}' {how}"
        assert record.data["stdout_lines"] == [f"skipped, since {name} {how}"]


def test_creates_is_within_chdir_and_sees_a_dangling_link(host, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("nowhere")
    assert not run("command", host, cmd="true", creates="link", chdir="in").changes
    assert not run("command", host, cmd="true", creates=str(tmp_path / "*" / "li*")).changes
    assert run("command", host, cmd="true", creates="link").changes


def test_in_check_mode_nothing_runs_and_what_it_gives_is_unknown(host, tmp_path):
    check = Overlay(host, imagined=True)
    record = run("shell", check, cmd="touch made; echo out")
    assert not (tmp_path / "made").exists()
    assert [change["target"] for change in record.changes] == ["touch made; echo out"]
    assert record.data["cmd"] == "touch made; echo out"
    assert all(isinstance(record.data[name], Unknown) for name in ("rc", "stdout", "stdout_lines", "delta"))
    assert check.doubt() == "depends on step 1 'it'"


def test_what_it_affects_bounds_the_doubt(host, tmp_path):
    check = Overlay(host, imagined=True)
    run("shell", check, cmd="true", affects=[str(tmp_path / "data")])
    assert check.doubt() is None
    run("shell", check, cmd="true", affects=[])
    assert check.doubt() is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "one of `cmd`"),
        ({"cmd": "ls", "argv": ["ls"]}, "one of `cmd`"),
        ({"cmd": "echo 'open"}, "No closing quotation"),
        ({"cmd": " "}, "no program"),
        ({"argv": []}, "no program"),
        ({"cmd": Secret("curl -H key")}, "stdin"),
        ({"argv": ["curl", Secret("key")]}, "stdin"),
        ({"argv": ["x", True]}, "string"),
        ({"cmd": "ls", "cmdx": 1}, "cmdx"),
    ],
)
def test_what_is_wrong_is_said(params, message):
    with pytest.raises(ValidationError, match=message):
        commands.Command.model_validate(params)


def test_a_program_that_is_not_there(host):
    with pytest.raises(TaskFailed, match="no program no-such-program"):
        run("command", host, cmd="no-such-program --now")
    with pytest.raises(TaskFailed, match="no program no-such-program"):
        run("command", Overlay(host, imagined=True), cmd="no-such-program --now")


def test_the_bare_text_is_the_command():
    assert {declared(task, "").free for task in (commands.command, commands.shell)} == {"cmd"}
    assert Path(commands.__file__).stem == "commands"
