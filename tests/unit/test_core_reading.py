"""stat, slurp and find on real folders and on what is about to be in them."""

import base64
import hashlib
import os
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from runbook.changes import Link, Produce, Write
from runbook.engine.rounds import ask
from runbook.errors import TaskFailed, Unsure
from runbook.host import LocalHost, Overlay
from runbook.task import declared
from runbook.tasks.core import reading, searching
from runbook.unknown import Unknown

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
DAY = 86400


@pytest.fixture
def host(tmp_path):
    return LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="1", umask=0o22)


def read(module, name, host, /, **params):
    spec = declared(getattr(module, name), "")
    changes, data = ask(spec, spec.params.model_validate(params), host)
    assert changes == []
    return data


def make(path, content="", *, days=0, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    os.utime(path, (NOW.timestamp() - days * DAY,) * 2)
    return path


def test_stat_of_nothing(host, tmp_path):
    assert read(reading, "stat", host, path=tmp_path / "no") == {"stat": {"exists": False}}
    (tmp_path / "file").touch()
    assert read(reading, "stat", host, path=tmp_path / "file" / "below") == {"stat": {"exists": False}}


def test_stat_of_a_file(host, tmp_path):
    file = make(tmp_path / "model.onnx", "weights", mode=0o4640, days=2)
    said = read(reading, "stat", host, path=file)["stat"]
    real = file.stat()
    expected = {
        "exists": True, "path": str(file), "mode": "4640", "isreg": True, "isdir": False, "islnk": False,
        "size": 7, "mtime": real.st_mtime, "uid": real.st_uid, "gid": real.st_gid, "inode": real.st_ino,
        "dev": real.st_dev, "nlink": 1, "isuid": True, "isgid": False, "rusr": True, "wusr": True, "xusr": False,
        "rgrp": True, "wgrp": False, "xgrp": False, "roth": False, "woth": False, "xoth": False,
        "readable": True, "writeable": True, "executable": False, "checksum": hashlib.sha1(b"weights").hexdigest(),
    }  # fmt: skip
    assert {name: said[name] for name in expected} == expected
    assert said["pw_name"] == "root" or os.geteuid()


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_stat_has_every_checksum(host, tmp_path, algorithm):
    file = make(tmp_path / "f", "x")
    said = read(reading, "stat", host, dest=file, checksum_algorithm=algorithm)["stat"]
    assert said["checksum"] == hashlib.new(algorithm, b"x").hexdigest()


def test_stat_without_a_checksum(host, tmp_path):
    assert "checksum" not in read(reading, "stat", host, path=make(tmp_path / "f"), get_checksum=False)["stat"]
    assert "checksum" not in read(reading, "stat", host, path=tmp_path)["stat"]


def test_stat_of_links(host, tmp_path):
    file = make(tmp_path / "f", mode=0o755)
    (tmp_path / "latest").symlink_to("f")
    (tmp_path / "broken").symlink_to("nowhere")
    said = read(reading, "stat", host, name=tmp_path / "latest")["stat"]
    assert (said["islnk"], said["lnk_target"], said["lnk_source"], said["executable"]) == (True, "f", str(file), True)
    assert read(reading, "stat", host, path=tmp_path / "latest", follow=True)["stat"]["isreg"] is True
    said = read(reading, "stat", host, path=tmp_path / "broken")["stat"]
    assert (said["exists"], said["readable"]) == (True, False)
    assert read(reading, "stat", host, path=tmp_path / "broken", follow=True)["stat"] == {"exists": False}


def test_a_fifo_is_never_opened(host, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    said = read(reading, "stat", host, path=tmp_path / "pipe")["stat"]
    assert (said["isreg"], said["isdir"], "checksum" in said) == (False, False, False)
    assert read(searching, "find", host, paths=[tmp_path], contains="x")["matched"] == 0
    with pytest.raises(TaskFailed, match="no regular file"):
        read(reading, "slurp", host, src=tmp_path / "pipe")


def test_what_is_about_to_be_is_seen(host, tmp_path):
    check = Overlay(host, imagined=True)
    check = check.begin("step 1 'write'")
    Write(tmp_path / "new", b"new", mode=0o600).apply(check)
    Link(tmp_path / "link", "new").apply(check)
    said = read(reading, "stat", check, path=tmp_path / "new")["stat"]
    assert (said["mode"], said["size"], said["checksum"]) == ("0600", 3, hashlib.sha1(b"new").hexdigest())
    assert said["uid"] == os.geteuid()
    assert read(reading, "stat", check, path=tmp_path / "link")["stat"]["lnk_target"] == "new"
    assert read(searching, "find", check, paths=str(tmp_path))["matched"] == 1
    assert base64.b64decode(read(reading, "slurp", check, path=tmp_path / "new")["content"]) == b"new"


def test_of_what_is_yet_to_be_produced_existence_is_known(host, tmp_path):
    check = Overlay(host, imagined=True)
    check = check.begin("step 1 'measure'")
    Produce(tmp_path / "report", lambda _: None).apply(check)
    said = read(reading, "stat", check, path=tmp_path / "report")["stat"]
    assert said["exists"] is True
    assert isinstance(said["size"], Unknown)
    assert isinstance(said["checksum"], Unknown)
    with pytest.raises(Unsure, match="depends on step 1 'measure'"):
        read(searching, "find", check, paths=str(tmp_path), size="1k")
    with pytest.raises(Unsure):
        read(reading, "slurp", check, src=tmp_path / "report")


def test_slurp(host, tmp_path):
    make(tmp_path / "f").write_bytes(b"\0\xff")
    data = read(reading, "slurp", host, src=tmp_path / "f")
    assert data == {"content": "AP8=", "encoding": "base64", "source": str(tmp_path / "f")}
    with pytest.raises(TaskFailed, match="there is no file"):
        read(reading, "slurp", host, src=tmp_path / "no")


@pytest.fixture
def logs(tmp_path):
    make(tmp_path / "new.out", "ok\nerror: disk\n", days=1)
    make(tmp_path / "old.out", "error\n", days=7)
    make(tmp_path / "old.err", "x" * 2048, days=30)
    make(tmp_path / ".hidden.out", days=30)
    make(tmp_path / "sub" / "deep.out", " error", days=9)
    make(tmp_path / "sub" / "sub2" / "deeper.out", days=9)
    (tmp_path / "link.out").symlink_to("old.out")
    (tmp_path / "loop").symlink_to(".")
    return tmp_path


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["new.out", "old.err", "old.out"]),
        ({"patterns": "*.out"}, ["new.out", "old.out"]),
        ({"pattern": ["*.err", "new.*"]}, ["new.out", "old.err"]),
        ({"patterns": "*.err, new.*"}, ["new.out", "old.err"]),
        ({"patterns": "*.out", "excludes": "new*"}, ["old.out"]),
        ({"exclude": ["*.out"]}, ["old.err"]),
        ({"patterns": r"^old\.(out|err)$", "use_regex": True}, ["old.err", "old.out"]),
        ({"excludes": "ne", "use_regex": True}, ["old.err", "old.out"]),
        ({"age": "7d"}, ["old.err", "old.out"]),
        ({"age": 7 * DAY}, ["old.err", "old.out"]),
        ({"age": "604801"}, ["old.err"]),
        ({"age": "-7d"}, ["new.out", "old.out"]),
        ({"age": "-1w"}, ["new.out", "old.out"]),
        ({"size": "2k"}, ["old.err"]),
        ({"size": 2049}, []),
        ({"size": "-1k"}, ["new.out", "old.out"]),
        ({"size": "2KiB"}, ["old.err"]),
        ({"contains": "err"}, ["new.out", "old.out"]),
        ({"contains": ".*disk"}, ["new.out"]),
        ({"hidden": True, "patterns": "*.out"}, [".hidden.out", "new.out", "old.out"]),
        ({"file_type": "link"}, ["link.out", "loop"]),
        ({"file_type": "directory"}, ["sub"]),
        ({"file_type": "any", "patterns": "*o*"}, ["link.out", "loop", "new.out", "old.err", "old.out"]),
        ({"recurse": True, "patterns": "*.out"}, ["new.out", "old.out", "deep.out", "deeper.out"]),
        ({"recurse": True, "depth": 2, "patterns": "*.out"}, ["new.out", "old.out", "deep.out"]),
        ({"recurse": True, "contains": "error"}, ["old.out", "new.out"][::-1]),
    ],
)
def test_find(host, logs, params, names):
    if params.get("contains") == "error":
        names = ["new.out", "old.out"]
    data = read(searching, "find", host, paths=[logs], **params)
    assert [os.path.basename(file["path"]) for file in data["files"]] == names
    assert data["matched"] == len(names)
    assert data["msg"] == "All paths examined"


def test_find_says_what_stat_says(host, logs):
    (found,) = read(searching, "find", host, path=str(logs), patterns="old.err")["files"]
    said = read(reading, "stat", host, path=found["path"])["stat"]
    assert found.items() <= said.items()


def test_find_names_what_it_could_not_look_at(host, logs):
    data = read(searching, "find", host, paths=f"{logs},{logs}/gone,{logs}/old.out")
    assert data["matched"] == 3
    assert data["examined"] == 7
    assert sorted(data["skipped_paths"]) == [f"{logs}/gone", f"{logs}/old.out"]
    assert data["msg"].startswith("Not all paths")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"paths": []}, "at least 1"),
        ({"paths": "/x", "age": "soon"}, "write a number"),
        ({"paths": "/x", "age": True}, "write a number"),
        ({"paths": "/x", "size": "big"}, "write a number"),
        ({"paths": "/x", "contains": "("}, "no regular expression"),
        ({"paths": "/x", "patterns": "*.out", "use_regex": True}, "no regular expression"),
        ({"paths": "/x", "depth": 0}, "greater than 0"),
        ({"paths": "/x", "age_stamp": "atime"}, "mtime"),
    ],
)
def test_what_is_wrong_with_a_search_is_said(params, message):
    with pytest.raises(ValidationError, match=message):
        searching.Search.model_validate(params)


@pytest.mark.parametrize("name", ["a\nb", "it's", os.fsdecode(b"\xff.out")])
def test_odd_names_are_names(host, tmp_path, name):
    make(tmp_path / name, "x")
    (found,) = read(searching, "find", host, paths=str(tmp_path))["files"]
    assert found["path"] == str(tmp_path / name)
    assert read(reading, "stat", host, path=found["path"])["stat"]["size"] == 1
