"""file and tempfile on real folders; each state is asked again, and then wants nothing."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbook.engine.rounds import Record, ask, perform
from runbook.errors import TaskFailed
from runbook.host import LocalHost, Overlay
from runbook.task import declared
from runbook.tasks.core import files

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)


class Quiet:
    def planned(self, changes, attempt): ...
    def applied(self, position): ...
    def settled(self, *, ok): ...


@pytest.fixture
def host(tmp_path):
    (tmp_path / "cwd").mkdir()
    return LocalHost(now=NOW, cwd=tmp_path / "cwd", env={"TMPDIR": str(tmp_path)}, run_id="1", umask=0o22)


def do(host, name="file", /, **params):
    """Check it, run it, and give what it changed; what check foretold is what the run did."""
    spec = declared(getattr(files, name), "")
    want = spec.params.model_validate({key: str(v) if isinstance(v, Path) else v for key, v in params.items()})
    foretold = Record()
    perform(spec, want, Overlay(host, imagined=True), foretold, Quiet())
    record = Record()
    host = host.begin("step 1 'it'")
    perform(spec, want, host, record, Quiet())
    if name == "file":
        assert [(c["kind"], c["target"], c["detail"]) for c in foretold.changes] == [
            (c["kind"], c["target"], c["detail"]) for c in record.changes
        ]
        assert ask(spec, want, host)[0] == []
    return [(change["kind"], Path(change["target"]).name) for change in record.changes], record.data


def mode(path):
    return path.stat().st_mode & 0o7777


def test_a_folder_with_its_parents(host, tmp_path):
    changes, data = do(host, path=tmp_path / "a" / "b" / "c", state="directory", mode="0750")
    assert changes == [("make folder", "a"), ("make folder", "b"), ("make folder", "c")]
    assert {mode(tmp_path / p) for p in ("a", "a/b", "a/b/c")} == {0o750}
    assert {
        "path": str(tmp_path / "a" / "b" / "c"),
        "state": "directory",
        "mode": "0750",
        "uid": os.geteuid(),
    }.items() <= data.items()
    assert do(host, path=tmp_path / "a", state="directory")[0] == []


def test_a_folder_gets_its_mode_and_so_does_what_is_in_it(host, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").touch()
    (tmp_path / "outside").touch(mode=0o644)
    (tmp_path / "a" / "link").symlink_to("../outside")
    assert do(host, path=tmp_path / "a", state="directory", mode="0700")[0] == [("chmod", "a")]
    assert do(host, path=tmp_path / "a", mode="0700", recurse=True)[0] == [("chmod", "b"), ("chmod", "f")]
    assert mode(tmp_path / "outside") == 0o644


def test_a_link_to_a_folder_is_followed_if_it_may_be(host, tmp_path):
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("real")
    do(host, path=tmp_path / "link", state="directory", mode="0700")
    assert mode(tmp_path / "real") == 0o700
    with pytest.raises(TaskFailed, match="is a link and no directory"):
        do(host, path=tmp_path / "link", state="directory", follow=False)


def test_a_file_where_a_folder_should_be(host, tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(TaskFailed, match="is a file and no directory"):
        do(host, path=tmp_path / "f", state="directory")
    with pytest.raises(TaskFailed, match="is a directory and no file"):
        do(host, path=tmp_path, state="file")
    with pytest.raises(TaskFailed):
        do(host, path=tmp_path / "f" / "below", state="directory")


def test_file_makes_none_and_gives_a_mode(host, tmp_path):
    with pytest.raises(TaskFailed, match="there is no file") as failed:
        do(host, path=tmp_path / "f", state="file")
    assert "touch" in failed.value.hint
    (tmp_path / "f").touch(mode=0o644)
    assert do(host, path=tmp_path / "f", mode="0600")[0] == [("chmod", "f")]
    assert mode(tmp_path / "f") == 0o600


def test_touch_makes_an_empty_file_and_keeps_an_existing_one(host, tmp_path):
    assert do(host, path=tmp_path / "f", state="touch")[0] == [("write", "f")]
    assert (tmp_path / "f").read_bytes() == b""
    (tmp_path / "f").write_text("kept")
    os.utime(tmp_path / "f", (1, 1))
    assert do(host, dest=tmp_path / "f", state="touch")[0] == []
    assert ((tmp_path / "f").read_text(), (tmp_path / "f").stat().st_mtime) == ("kept", 1)


def test_absent(host, tmp_path):
    assert do(host, path=tmp_path / "no", state="absent") == ([], {"path": str(tmp_path / "no"), "state": "absent"})
    (tmp_path / "f").touch()
    assert do(host, name=tmp_path / "f", state="absent")[0] == [("remove", "f")]
    assert not (tmp_path / "f").exists()


def test_absent_removes_a_folder_with_all_in_it_and_nothing_beyond_its_links(host, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("kept")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "f\n").touch()
    (tmp_path / "a" / "link").symlink_to("../outside")
    assert do(host, path=tmp_path / "a", state="absent")[0] == [
        ("remove", "f\n"),
        ("remove", "b"),
        ("remove", "link"),
        ("remove", "a"),
    ]
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "outside" / "f").read_text() == "kept"


def test_absent_removes_a_link_to_a_folder_only(host, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert do(host, path=tmp_path / "link", state="absent")[0] == [("remove", "link")]
    assert (tmp_path / "real").is_dir()


@pytest.mark.parametrize("path", ["/", ".", "..", "/proc", "../cwd"])
def test_absent_refuses_roots_mounts_and_where_the_run_works(host, path):
    with pytest.raises(TaskFailed, match="not removed"):
        do(host, path=path, state="absent")


def test_absent_refuses_a_folder_with_a_mount_in_it(host, monkeypatch, tmp_path):
    (tmp_path / "a" / "data").mkdir(parents=True)
    (tmp_path / "a" / "f").touch()
    monkeypatch.setattr(LocalHost, "mounts", lambda _: [tmp_path / "a" / "data"])
    with pytest.raises(TaskFailed, match="is a mount point"):
        do(host, path=tmp_path / "a", state="absent")
    assert (tmp_path / "a" / "f").exists()


def test_a_link_is_made_and_turned(host, tmp_path):
    (tmp_path / "v1").touch()
    (tmp_path / "v2").touch()
    changes, data = do(host, path=tmp_path / "latest", src="v1", state="link")
    assert (changes, data["state"]) == ([("link", "latest")], "link")
    do(host, path=tmp_path / "latest", src="v2", state="link")
    assert os.readlink(tmp_path / "latest") == "v2"
    assert [p.name for p in tmp_path.iterdir() if p.name not in {"v1", "v2", "latest", "cwd"}] == []


def test_a_link_leads_somewhere_unless_forced(host, tmp_path):
    with pytest.raises(TaskFailed, match="there is no later"):
        do(host, path=tmp_path / "link", src="later", state="link")
    do(host, path=tmp_path / "link", src="later", state="link", force=True)
    assert os.readlink(tmp_path / "link") == "later"


def test_a_link_replaces_a_file_or_an_empty_folder_only_by_force(host, tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "f").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "full" / "x").mkdir(parents=True)
    for name in ("f", "d", "full"):
        with pytest.raises(TaskFailed, match="which a link would replace"):
            do(host, path=tmp_path / name, src="real", state="link")
    do(host, path=tmp_path / "f", src="real", state="link", force=True)
    do(host, path=tmp_path / "d", src="real", state="link", force=True)
    assert (tmp_path / "f").is_symlink()
    assert (tmp_path / "d").is_symlink()
    with pytest.raises(TaskFailed, match="not empty"):
        do(host, path=tmp_path / "full", src="real", state="link", force=True)


def test_hard_links(host, tmp_path):
    (tmp_path / "f").write_text("x")
    (tmp_path / "other").touch()
    data = do(host, path=tmp_path / "g", src=str(tmp_path / "f"), state="hard")[1]
    assert (data["state"], data["dest"], data["src"]) == ("hard", str(tmp_path / "g"), str(tmp_path / "f"))
    assert (tmp_path / "g").samefile(tmp_path / "f")
    with pytest.raises(TaskFailed, match="which a link would replace"):
        do(host, path=tmp_path / "other", src=str(tmp_path / "f"), state="hard")
    do(host, path=tmp_path / "other", src=str(tmp_path / "f"), state="hard", force=True, mode="0600")
    assert (tmp_path / "f").stat().st_nlink == 3
    assert mode(tmp_path / "f") == 0o600
    (tmp_path / "d").mkdir()
    do(host, path=tmp_path / "d", src=str(tmp_path / "f"), state="hard")
    assert (tmp_path / "d" / "f").samefile(tmp_path / "f")
    with pytest.raises(TaskFailed, match="there is no"):
        do(host, path=tmp_path / "h", src=str(tmp_path / "no"), state="hard")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": ""}, "path is empty"),
        ({"path": "/x", "state": "link"}, "needs `src`"),
        ({"path": "/x", "src": "y"}, "is for links"),
        ({"path": "/x", "state": "touch", "recurse": True}, "is for folders"),
        ({"path": "/x", "state": "absent", "mode": "0644"}, "means nothing"),
        ({"path": "/x", "mode": "u+q"}, "octal digits"),
        ({"path": "/x", "mode": 420}, "write for example"),
        ({"path": "/x", "owner": "root"}, "owner"),
        ({"state": "absent"}, "required"),
    ],
)
def test_what_is_wrong_is_said(params, message):
    with pytest.raises(ValidationError, match=message):
        files.Entry.model_validate(params)


def test_tempfile(host, tmp_path):
    changes, data = do(host, "tempfile", prefix="bench.", suffix=".json")
    path = Path(data["path"])
    assert (path.parent, path.name[:6], path.suffix, mode(path)) == (tmp_path, "bench.", ".json", 0o600)
    assert (data["state"], changes) == ("file", [("write", path.name)])
    assert data["path"] != do(host, "tempfile")[1]["path"]
    folder = Path(do(host, "tempfile", state="directory", path=tmp_path / "cwd")[1]["path"])
    assert (folder.parent, mode(folder), folder.is_dir()) == (tmp_path / "cwd", 0o700, True)
    with pytest.raises(TaskFailed, match="there is no folder"):
        do(host, "tempfile", path=tmp_path / "no")
    with pytest.raises(ValidationError):
        do(host, "tempfile", prefix="a/b")
