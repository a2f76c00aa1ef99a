"""The core tasks in real plays: what the engine prepares for them, and what check mode knows of what follows them."""

import pytest
from playing import Folder

STEPS = [
    {"name": "folder", "file": {"path": "out", "state": "directory"}},
    {"name": "literal copy", "copy": {"src": "conf/", "dest": "out/conf"}},
    {"name": "found copy", "copy": {"src": "{{ 'motd' }}", "dest": "out/"}},
    {"name": "template", "template": {"src": "app.j2", "dest": "out/app"}},
    {"name": "vars", "include_vars": "more.yml"},
    {"name": "nested", "include_vars": {"file": "more.yml", "name": "site"}},
    {"name": "show", "debug": {"msg": "{{ port }} {{ site.url }}"}},
    {"name": "ask", "command": "cat out/app", "register": "asked"},
    {"name": "answer", "debug": {"var": "asked.stdout"}},
    {"name": "keep", "set_fact": {"kept": "{{ asked.stdout }}", "plain": 1}},
    {"name": "kept", "debug": {"msg": "{{ kept }}"}},
    {"name": "plain", "assert": {"that": "plain == 1"}},
    {"name": "perhaps", "set_fact": {"late": "yes"}, "when": "asked.rc == 0"},
    {"name": "late", "assert": {"that": ["late == 'yes'", "kept == 'port 80 on you'"]}},
    {"name": "bad", "shell": "echo so far; exit 3", "register": "bad", "ignore_errors": True},
    {"name": "why", "assert": {"that": ["bad.rc == 3", "bad.stdout == 'so far'", "bad.msg == 'non-zero return code'"]}},
    {"name": "good", "command": "false", "register": "no", "failed_when": "no.rc != 1"},
]
ASKED = {"answer", "kept", "perhaps", "late", "why"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("core"))
    for name, text in (
        ("conf/sub/x", "x"),
        ("files/motd", "hello"),
        ("templates/app.j2", "port {{ port }} on {{ who }}\n"),
        ("more.yml", 'port: 80\nurl: "http://{{ who }}"\n'),
    ):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text(text)
    folder.book(STEPS, vars={"who": "you", "port": 80})
    return folder


@pytest.fixture(scope="module")
def played(folder):
    return folder.play("--check"), folder.play(), folder.play()


def test_check_never_fails_for_what_a_run_will_tell(played):
    check = played[0]
    assert (check.code, check.err) == (0, "")
    assert {step["name"] for step in check.report["steps"] if step["status"] == "unsure"} - {"bad", "good"} == ASKED
    assert check.step("kept")["reason"].startswith("depends on step 8 'ask'")
    assert check.step("keep")["status"] == check.step("plain")["status"] == "ok"


def test_a_run_does_what_check_foretold(played):
    check, run, _ = played
    assert run.code == 0, run.out
    for step in run.report["steps"]:
        foretold = check.step(step["name"])["changes"]
        assert [(c["kind"], c["target"], c["detail"], c["diff"]) for c in step["changes"]] == [
            (c["kind"], c["target"], c["detail"], c["diff"]) for c in foretold
        ]


def test_the_controller_is_where_its_files_are(played, folder):
    out = folder.path / "out"
    found = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert found == {"conf/sub/x": "x", "motd": "hello", "app": "port 80 on you\n"}


def test_what_directives_say_is_shown(played):
    out = played[1].out
    assert "80 http://you" in out
    assert "asked.stdout: port 80 on you" in out
    assert "All assertions passed" in out


def test_a_failed_command_keeps_its_register(played):
    run = played[1]
    assert run.step("bad")["ignored"] is True
    assert run.step("bad")["error"]["message"] == "the command ended with rc 3: so far"
    assert run.step("why")["status"] == "ok"
    assert run.step("good")["status"] == "changed"


def test_the_second_run_changes_no_file(played):
    again = played[2]
    assert {step["name"] for step in again.report["steps"] if step["changes"]} == {"ask", "bad", "good"}
