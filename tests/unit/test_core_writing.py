"""copy and template on real folders; asked again they want nothing."""

import grp
import json
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbook.changes import FileRef
from runbook.engine.rounds import Record, ask, perform
from runbook.errors import TaskFailed
from runbook.host import LocalHost, Overlay
from runbook.task import Rendered, declared
from runbook.tasks.core import writing
from runbook.units import Secret

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)


class Quiet:
    def planned(self, changes, attempt): ...
    def applied(self, position): ...
    def settled(self, *, ok): ...


@pytest.fixture
def host(tmp_path):
    return LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="1", umask=0o22)


def do(host, name="copy", /, **params):
    """Check it, run it, ask again: check foretells the run, and the second time nothing is wanted."""
    spec = declared(getattr(writing, name), "")
    want = spec.params.model_validate({key: str(v) if isinstance(v, Path) else v for key, v in params.items()})
    foretold = Record()
    perform(spec, want, Overlay(host, imagined=True), foretold, Quiet())
    record = Record()
    host = host.begin("step 1 'it'")
    perform(spec, want, host, record, Quiet())
    assert [(c["kind"], c["target"], c["detail"], c["diff"]) for c in foretold.changes] == [
        (c["kind"], c["target"], c["detail"], c["diff"]) for c in record.changes
    ]
    assert foretold.data == record.data
    assert ask(spec, want, host)[0] == []
    return [(change["kind"], Path(change["target"]).name) for change in record.changes], record.data


def mode(path):
    return path.stat().st_mode & 0o7777


def tree(folder):
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_content(host, tmp_path):
    changes, data = do(host, content="hello\n", dest=tmp_path / "f")
    assert changes == [("write", "f")]
    assert data == {
        "dest": str(tmp_path / "f"),
        "checksum": "f572d396fae9206628714fb2ce00f72e94f2258f",
        "mode": "0644",
        "size": 6,
        "state": "file",
        "uid": os.geteuid(),
        "gid": os.getegid(),
        "owner": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(os.getegid()).gr_name,
    }
    assert (tmp_path / "f").read_text() == "hello\n"
    assert do(host, content="hello\n", dest=tmp_path / "f", mode="0600")[0] == [("chmod", "f")]
    assert do(host, content="other\n", dest=tmp_path / "f")[0] == [("write", "f")]
    assert ((tmp_path / "f").read_text(), mode(tmp_path / "f")) == ("other\n", 0o600)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"a": [1, "ü"]}, '{"a": [1, "\\u00fc"]}'),
        (["x"], '["x"]'),
        (5, "5"),
        (True, "True"),
        ("", ""),
        ("ü", "ü"),
    ],
)
def test_content_of_every_type(host, tmp_path, content, text):
    do(host, content=content, dest=tmp_path / "f")
    assert (tmp_path / "f").read_text(encoding="utf-8") == text


def test_a_secret_is_written_and_never_shown(host, tmp_path):
    spec = declared(writing.copy, "")
    for content, text in ((Secret("hunter2"), "hunter2"), ({"key": Secret("hunter2")}, '{"key": "hunter2"}')):
        want = spec.params.model_validate({"content": content, "dest": str(tmp_path / "f"), "mode": "0600"})
        (change,), data = ask(spec, want, host)
        assert "hunter2" not in json.dumps(change.to_json()) + repr(change) + json.dumps(data)
        assert "checksum" not in data
        do(host, content=content, dest=tmp_path / "f", mode="0600")
        assert (tmp_path / "f").read_text() == text


def test_a_file(host, tmp_path):
    (tmp_path / "src").write_text("x")
    (tmp_path / "src").chmod(0o750)
    changes, data = do(host, src=tmp_path / "src", dest=tmp_path / "dest")
    assert (changes, data["src"], mode(tmp_path / "dest")) == ([("write", "dest")], str(tmp_path / "src"), 0o644)
    assert do(host, src=tmp_path / "src", dest=tmp_path / "dest", mode="preserve")[0] == [("chmod", "dest")]
    assert mode(tmp_path / "dest") == 0o750
    do(host, src=tmp_path / "src", dest=tmp_path / "theirs", remote_src=True)
    assert mode(tmp_path / "theirs") == 0o750


def test_into_a_folder(host, tmp_path):
    (tmp_path / "src").write_text("x")
    (tmp_path / "d").mkdir()
    assert do(host, src=tmp_path / "src", dest=tmp_path / "d")[1]["dest"] == str(tmp_path / "d" / "src")
    changes, data = do(host, src=tmp_path / "src", dest=f"{tmp_path}/new/deep/", directory_mode="0700")
    assert changes == [("make folder", "new"), ("make folder", "deep"), ("write", "src")]
    assert (mode(tmp_path / "new"), data["dest"]) == (0o700, str(tmp_path / "new" / "deep" / "src"))
    with pytest.raises(TaskFailed, match="is a folder; write the name"):
        do(host, content="x", dest=tmp_path / "d")
    with pytest.raises(TaskFailed, match="there is no folder") as failed:
        do(host, src=tmp_path / "src", dest=tmp_path / "nowhere" / "f")
    assert "state: directory" in failed.value.hint


def test_what_is_large_is_a_reference(host, tmp_path):
    (tmp_path / "model").write_bytes(b"w" * 1_500_000)
    spec = declared(writing.copy, "")
    want = spec.params.model_validate({"src": str(tmp_path / "model"), "dest": str(tmp_path / "copied")})
    (change,), data = ask(spec, want, host)
    assert isinstance(change.content, FileRef)
    assert data["sha256"] == change.content.sha256
    do(host, src=tmp_path / "model", dest=tmp_path / "copied")
    (tmp_path / "copied").write_bytes(b"w" * 1_499_999 + b"x")
    assert do(host, src=tmp_path / "model", dest=tmp_path / "copied", backup=True)[0][1:] == [("write", "copied")]
    assert (tmp_path / "copied").read_bytes() == (tmp_path / "model").read_bytes()


def test_no_force_keeps_what_is_there(host, tmp_path):
    (tmp_path / "f").write_text("mine")
    assert do(host, content="theirs", dest=tmp_path / "f", force=False)[0] == []
    assert do(host, content="theirs", dest=tmp_path / "g", force=False)[0] == [("write", "g")]
    assert (tmp_path / "f").read_text() == "mine"


def test_backup(host, tmp_path):
    (tmp_path / "f").write_text("before")
    (tmp_path / "f").chmod(0o600)
    changes, data = do(host, content="after", dest=tmp_path / "f", backup=True)
    kept = Path(data["backup_file"])
    assert changes == [("write", "f.2026-03-10@02:00:00~"), ("write", "f")]
    assert (kept.read_text(), mode(kept), (tmp_path / "f").read_text()) == ("before", 0o600, "after")
    assert "backup_file" not in do(host, content="after", dest=tmp_path / "f", backup=True)[1]


def test_a_link_is_replaced_or_followed(host, tmp_path):
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert do(host, content="y", dest=tmp_path / "link", follow=True)[1]["dest"] == str(tmp_path / "real")
    assert ((tmp_path / "real").read_text(), (tmp_path / "link").is_symlink()) == ("y", True)
    assert do(host, content="y", dest=tmp_path / "link")[0] == [("remove", "link"), ("write", "link")]
    assert not (tmp_path / "link").is_symlink()
    (tmp_path / "broken").symlink_to("nowhere")
    do(host, content="y", dest=tmp_path / "broken")
    assert (tmp_path / "broken").read_text() == "y"


@pytest.fixture
def folder(tmp_path):
    src = tmp_path / "conf"
    (src / "sub" / "empty").mkdir(parents=True)
    (src / "a").write_text("a")
    (src / "sub" / "b").write_text("b")
    (src / "link").symlink_to("sub")
    return src


COPIED = {"a": "a", "link": None, "link/b": "b", "link/empty": None, "sub": None, "sub/b": "b", "sub/empty": None}


def test_a_folder_itself_or_what_is_in_it(host, tmp_path, folder):
    do(host, src=folder, dest=tmp_path / "one", mode="0600", directory_mode="0700")
    assert tree(tmp_path / "one" / "conf") == COPIED
    assert (mode(tmp_path / "one" / "conf" / "sub" / "b"), mode(tmp_path / "one" / "conf" / "sub")) == (0o600, 0o700)
    data = do(host, src=f"{folder}/", dest=tmp_path / "two")[1]
    assert data == {"dest": str(tmp_path / "two"), "src": f"{folder}/"}
    assert tree(tmp_path / "two") == COPIED
    (tmp_path / "two" / "more").touch()
    (folder / "a").write_text("new")
    assert do(host, src=f"{folder}/", dest=tmp_path / "two")[0] == [("write", "a")]
    assert (tmp_path / "two" / "more").exists()


def test_a_folder_that_leads_upwards_or_nowhere(host, tmp_path, folder):
    (folder / "sub" / "up").symlink_to("..")
    with pytest.raises(TaskFailed, match="leads upwards"):
        do(host, src=folder, dest=tmp_path / "one")
    (folder / "sub" / "up").unlink()
    (folder / "broken").symlink_to("nowhere")
    with pytest.raises(TaskFailed, match="leads nowhere"):
        do(host, src=folder, dest=tmp_path / "one")
    (folder / "broken").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(TaskFailed, match="neither a file nor a folder"):
        do(host, src=folder, dest=tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_a_source_that_is_not_there(host, tmp_path):
    with pytest.raises(TaskFailed, match=r"there is no .*gone to copy"):
        do(host, src=tmp_path / "gone", dest=tmp_path / "f")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dest": "/x"}, "one of `src`"),
        ({"dest": "/x", "src": "a", "content": "b"}, "one of `src`"),
        ({"dest": "/x/", "content": "b"}, "name of a file"),
        ({"dest": "", "content": "b"}, "at least 1 character"),
        ({"dest": "/x", "content": "b", "mode": "preserve"}, "no mode to keep"),
        ({"dest": "/x", "content": "b", "mode": "644x"}, "octal"),
        ({"content": "b"}, "required"),
    ],
)
def test_what_is_wrong_is_said(params, message):
    with pytest.raises(ValidationError, match=message):
        writing.Copy.model_validate(params)


def test_template(host, tmp_path):
    src = Rendered("/playbooks/templates/app.conf.j2", "port = 8000\n")
    changes, data = do(host, "template", src=src, dest=tmp_path / "app.conf", mode="0640")
    assert (changes, data["src"], mode(tmp_path / "app.conf")) == ([("write", "app.conf")], src.path, 0o640)
    assert do(host, "template", src=src, dest=f"{tmp_path}/etc/")[1]["dest"] == str(tmp_path / "etc" / "app.conf.j2")
    assert do(host, "template", src=Rendered(src.path, "new\n"), dest=tmp_path / "app.conf")[0] == [
        ("write", "app.conf")
    ]
    assert ((tmp_path / "app.conf").read_text(), mode(tmp_path / "app.conf")) == ("new\n", 0o640)


def test_a_template_with_a_secret_in_it(host, tmp_path):
    data = do(host, "template", src=Rendered("/t", Secret("API_KEY=x\n")), dest=tmp_path / ".env", mode="0600")[1]
    assert (tmp_path / ".env").read_text() == "API_KEY=x\n"
    assert "checksum" not in data


def test_the_engine_is_told_how_to_prepare_the_params():
    assert declared(writing.copy, "").use_of("src") == "controller path"
    assert declared(writing.template, "").use_of("src") == "template file"
