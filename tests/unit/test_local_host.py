"""The real machine: durable files, checked changes, processes, requests."""

import errno
import gzip
import hashlib
import http.server
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.changes import Exchange, FileRef, RunCommand
from runbook.errors import Moved, Stopped, TaskFailed, TimedOut
from runbook.host import LocalHost, Overlay
from runbook.host.files import altering, durable
from runbook.host.files.spares import temporary
from runbook.units import Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = "20260301T120000Z-ab12cd34"


class Ear:
    def __init__(self):
        self.lines = []
        self.told = []

    def output(self, stream, line):
        self.lines.append((stream, line))

    def progress(self, text, done, total, unit="B"):
        self.told.append((text, done, total))


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def host(tmp_path, ear):
    host = LocalHost(now=NOW, cwd=tmp_path, env=dict(os.environ), run_id=RUN, umask=0o022, listener=ear)
    yield host
    host.stop(signal.SIGTERM)
    host.close()


def names(folder):
    return sorted(os.listdir(folder))


# Writing


def test_write_creates_with_the_default_mode_and_replaces_with_the_old_one(host, tmp_path):
    path = tmp_path / "a"
    host.write(path, b"one", mode=None, was=None)
    assert path.read_bytes() == b"one"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    host.write(path, b"two", mode=None, was=host.stat(path))
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o640)
    host.write(path, b"three", mode=0o600, was=host.stat(path), mtime=10**9)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_mtime_ns == 10**9
    assert names(tmp_path) == ["a"]


def test_write_minds_the_umask_it_was_given(tmp_path):
    host = LocalHost(now=NOW, cwd=tmp_path, env={}, run_id=RUN, umask=0o077)
    host.write(Path("a"), b"", mode=None, was=None)
    host.make_folder(Path("f"), mode=None)
    host.make_folder(Path("g"), mode=0o2775)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "afg"] == [0o600, 0o700, 0o2775]


def test_write_reveals_a_secret_only_in_the_file(host, tmp_path):
    host.write(tmp_path / "k", Secret("s3cr3t"), mode=0o600, was=None)
    assert (tmp_path / "k").read_bytes() == b"s3cr3t"


def test_write_through_a_link_replaces_its_target(host, tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    host.write(tmp_path / "link", b"new", mode=None, was=host.stat(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
    (tmp_path / "dangling").symlink_to("later")
    host.write(tmp_path / "dangling", b"made", mode=None, was=None)
    assert (tmp_path / "later").read_bytes() == b"made"


def test_write_copies_a_reference_and_checks_its_content(host, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    right = FileRef(source, 3_000_000, hashlib.sha256(b"x" * 3_000_000).hexdigest())
    host.write(tmp_path / "copy", right, mode=None, was=None)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    with pytest.raises(Moved, match="not the content"):
        host.write(tmp_path / "other", FileRef(source, 3_000_000, "0" * 64), mode=None, was=None)
    assert names(tmp_path) == ["copy", "source"]


def test_write_refuses_what_was_not_planned_on(host, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"theirs")
    with pytest.raises(Moved, match="is there now"):
        host.write(path, b"ours", mode=None, was=None)
    was = host.stat(path)
    path.write_bytes(b"changed meanwhile")
    with pytest.raises(Moved, match="changed or replaced"):
        host.write(path, b"ours", mode=None, was=was)
    path.unlink()
    with pytest.raises(Moved, match="is gone"):
        host.write(path, b"ours", mode=None, was=was)
    assert names(tmp_path) == []


def test_a_file_that_appears_while_ours_is_written_is_not_overwritten(host, tmp_path, monkeypatch):
    path = tmp_path / "a"
    monkeypatch.setattr(durable, "dress", lambda *_: path.write_bytes(b"theirs"))
    with pytest.raises(Moved, match="is there now"):
        host.write(path, b"ours", mode=None, was=None)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "x"), OSError(errno.EIO, "x"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "write", "replace"])
def test_a_fault_on_the_way_leaves_the_old_file_and_no_temporary(host, tmp_path, monkeypatch, fault, call):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(os, call, fail)
    with pytest.raises((TaskFailed, KeyboardInterrupt)) as caught:
        host.write(path, b"new", mode=None, was=host.stat(path))
    if isinstance(fault, OSError):
        assert caught.value.message == f"cannot write {path}: {os.strerror(fault.errno)}"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_the_order_is_fsync_then_rename_then_one_fsync_per_folder(host, tmp_path, monkeypatch):
    calls = []
    real = os.fsync, durable.rename_new

    def fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real[0](descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(durable, "rename_new", lambda *a: (calls.append("rename"), real[1](*a)))
    for name in "ab":
        host.write(tmp_path / name, b"", mode=None, was=None)
    host.settle()
    host.settle()
    assert calls == ["file", "rename", "file", "rename", "folder"]


def test_what_is_made_is_durable_before_anything_is_removed(host, tmp_path, monkeypatch):
    (tmp_path / "old").write_bytes(b"")
    calls = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
    )
    monkeypatch.setattr(os, "unlink", lambda *_, **__: calls.append("unlink"))
    host.write(tmp_path / "new", b"", mode=None, was=None)
    calls.clear()
    host.remove(tmp_path / "old", was=host.stat(tmp_path / "old"))
    assert calls == ["folder", "unlink"]


def test_a_stale_temporary_of_the_same_run_is_replaced(host, tmp_path):
    temporary(tmp_path / "a", RUN).write_bytes(b"half")
    host.write(tmp_path / "a", b"whole", mode=None, was=None)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["a", "a" * 255, "é" * 127, "a" * 240])
def test_the_temporary_fits_and_can_be_found_again(name):
    spare = temporary(Path("/x") / name, RUN)
    assert spare == temporary(Path("/x") / name, RUN)
    assert spare.parent == Path("/x")
    assert len(os.fsencode(spare.name)) <= 255
    assert spare.name.startswith(".")
    assert spare.name.endswith("ab12cd34.runbook-tmp")
    assert temporary(Path("/x") / ("a" * 254 + "b"), RUN) != temporary(Path("/x") / ("a" * 254 + "c"), RUN)


def test_a_later_change_may_mean_what_an_earlier_one_of_the_list_made(host, tmp_path):
    plan = Overlay(host)
    path = tmp_path / "a"
    plan.write(path, b"1", mode=None, was=None)
    imagined = plan.stat(path)
    host.write(path, b"1", mode=None, was=None)
    host.chmod(path, 0o600, was=imagined)
    host.write(path, b"22", mode=None, was=imagined)
    path.write_bytes(b"meddled with")
    with pytest.raises(Moved):
        host.remove(path, was=imagined)
    host = host.begin("step 2")
    with pytest.raises(Moved):
        host.remove(path, was=imagined)


# Removing, moving, linking, modes


def test_remove_takes_files_links_and_empty_folders_only(host, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(TaskFailed, match="Directory not empty"):
        host.remove(tmp_path / "folder", was=host.stat(tmp_path / "folder"))
    host.remove(tmp_path / "link", was=host.stat(tmp_path / "link", follow=False))
    assert (tmp_path / "folder" / "file").exists()
    was = host.stat(tmp_path / "folder")
    host.remove(tmp_path / "folder" / "file", was=host.stat(tmp_path / "folder" / "file"))
    host.remove(tmp_path / "folder", was=was)
    assert names(tmp_path) == []


def test_remove_refuses_another_file_and_one_that_is_gone(host, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    was = host.stat(path)
    (tmp_path / "b").write_bytes(b"1")
    os.replace(tmp_path / "b", path)
    with pytest.raises(Moved):
        host.remove(path, was=was)
    path.unlink()
    with pytest.raises(Moved, match="is gone"):
        host.remove(path, was=was)


@pytest.mark.parametrize("path", ["/", "/proc", "/tmp/.."])
def test_remove_refuses_roots_and_mount_points(host, path):
    with pytest.raises(TaskFailed, match=r"root|mount point"):
        host.remove(Path(path), was=host.stat(Path(path)))


def test_move_never_overwrites(host, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(Moved, match="is there now"):
        host.move(tmp_path / "a", tmp_path / "b", was=host.stat(tmp_path / "a"))
    host.move(tmp_path / "a", tmp_path / "c", was=host.stat(tmp_path / "a"))
    assert names(tmp_path) == ["b", "c"]


def test_the_exclusive_rename_is_the_kernels(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        durable.rename_new(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"b"


def test_move_to_another_file_system_copies_then_removes(host, tmp_path, monkeypatch):
    path, to = tmp_path / "a", tmp_path / "f" / "b"
    to.parent.mkdir()
    path.write_bytes(b"data")
    os.utime(path, ns=(5, 5))
    path.chmod(0o604)
    real = durable.rename_new

    def across(source, target):
        if Path(source) == path:
            raise OSError(errno.EXDEV, "x")
        real(source, target)

    monkeypatch.setattr(altering, "rename_new", across)
    host.move(path, to, was=host.stat(path))
    assert not path.exists()
    assert (to.read_bytes(), to.stat().st_mtime_ns, stat.S_IMODE(to.stat().st_mode)) == (b"data", 5, 0o604)
    assert names(to.parent) == ["b"]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system")
def test_move_across_real_file_systems(host, tmp_path):
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("the same file system")
    to = Path("/dev/shm") / f"runbook-test-{os.getpid()}"
    (tmp_path / "a").write_bytes(b"data")
    try:
        host.move(tmp_path / "a", to, was=host.stat(tmp_path / "a"))
        assert (to.read_bytes(), names(tmp_path)) == (b"data", [])
    finally:
        with suppress(FileNotFoundError):
            to.unlink()


def test_make_folder_refuses_one_that_appeared(host, tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(Moved):
        host.make_folder(tmp_path / "f", mode=None)
    with pytest.raises(TaskFailed, match="No such file"):
        host.make_folder(tmp_path / "x" / "y", mode=None)


def test_chmod_is_of_the_file_that_was_planned_on(host, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    was = host.stat(path)
    path.write_bytes(b"a growing log keeps its identity")
    host.chmod(path, 0o000, was=was)
    host.chmod(path, 0o640, was=was)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (tmp_path / "b").write_bytes(b"")
    os.replace(tmp_path / "b", path)
    with pytest.raises(Moved):
        host.chmod(path, 0o777, was=was)
    os.mkfifo(tmp_path / "fifo")
    host.chmod(tmp_path / "fifo", 0o600, was=host.stat(tmp_path / "fifo"))


def test_link_replaces_a_link_in_one_rename(host, tmp_path):
    host.link(tmp_path / "latest", "a", hard=False, was=None)
    with pytest.raises(Moved):
        host.link(tmp_path / "latest", "b", hard=False, was=None)
    host.link(tmp_path / "latest", "b", hard=False, was=host.stat(tmp_path / "latest", follow=False))
    assert host.readlink(tmp_path / "latest") == "b"
    (tmp_path / "x").write_bytes(b"x")
    host.link(tmp_path / "y", "x", hard=True, was=None)
    host.link(tmp_path / "y", "x", hard=True, was=host.stat(tmp_path / "y"))
    assert (tmp_path / "y").samefile(tmp_path / "x")
    assert names(tmp_path) == ["latest", "x", "y"]


# Compressing, producing


def test_compress_keeps_mode_and_time_and_is_the_same_every_time(host, tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"line\n" * 100_000)
    path.chmod(0o640)
    os.utime(path, ns=(7, 7))
    for name in ("1.gz", "2.gz"):
        host.compress(path, tmp_path / name, was=host.stat(path), level=2)
    one, two = (tmp_path / name for name in ("1.gz", "2.gz"))
    assert gzip.decompress(one.read_bytes()) == path.read_bytes()
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[3:8] == bytes(5)  # no name, no time
    assert (one.stat().st_mtime_ns, stat.S_IMODE(one.stat().st_mode)) == (7, 0o640)
    with pytest.raises(Moved, match=r"1\.gz is there now"):
        host.compress(path, one, was=host.stat(path), level=2)
    with pytest.raises(TaskFailed, match="level 9"):
        host.compress(path, tmp_path / "3.gz", was=host.stat(path), level=9)


def test_compress_drops_the_archive_of_a_file_that_has_grown(host, tmp_path, monkeypatch):
    path = tmp_path / "a.log"
    path.write_bytes(b"line\n")
    real = altering._zip

    def growing(*args):
        real(*args)
        with path.open("ab") as log:
            log.write(b"more\n")

    monkeypatch.setattr(altering, "_zip", growing)
    with pytest.raises(Moved, match=r"a\.log"):
        host.compress(path, tmp_path / "a.gz", was=host.stat(path), level=0)
    assert names(tmp_path) == ["a.log"]


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_compress_opens_regular_files_only(host, tmp_path, kind):
    path = tmp_path / "a"
    {"fifo": os.mkfifo, "link": lambda p: p.symlink_to("/etc/passwd"), "folder": os.mkdir}[kind](path)
    with pytest.raises(TaskFailed, match="cannot compress"):
        host.compress(path, tmp_path / "a.gz", was=host.stat(path, follow=False), level=1)
    assert names(tmp_path) == ["a"]


def test_produce_publishes_what_was_made_and_gives_its_result(host, tmp_path):
    def make(path):
        path.write_bytes(b"model")
        return {"drop": 0.1}

    assert host.produce(tmp_path / "m", make, mode=None, was=None) == {"drop": 0.1}
    assert (tmp_path / "m").read_bytes() == b"model"
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (TaskFailed("the drop is too large"), "^the drop is too large$"),
        (ZeroDivisionError("x"), "cannot produce .*: ZeroDivisionError: x"),
        (OSError(errno.ENOSPC, "No space"), "cannot produce .*No space"),
        (KeyboardInterrupt(), "^$"),
    ],
)
def test_produce_that_is_refused_leaves_nothing(host, tmp_path, fault, message):
    def make(path):
        path.write_bytes(b"half")
        raise fault

    with pytest.raises((TaskFailed, KeyboardInterrupt), match=message):
        host.produce(tmp_path / "m", make, mode=None, was=None)
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [lambda _path: None, os.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_produce_wants_a_regular_file(host, tmp_path, make):
    with pytest.raises(TaskFailed, match="cannot"):
        host.produce(tmp_path / "m", make, mode=None, was=None)
    assert names(tmp_path) == []


# Reading


@pytest.mark.parametrize("name", ["a\nb", 'it\'s "x"', b"\xff\xfe".decode("utf-8", "surrogateescape"), " ", "*"])
def test_names_of_any_kind_work(host, tmp_path, name):
    path = tmp_path / name
    host.write(path, b"x", mode=None, was=None)
    assert [found.path for found in host.find(tmp_path)] == [path]
    assert host.read(path) == b"x"
    with pytest.raises(Moved) as caught:
        host.write(path, b"x", mode=None, was=None)
    assert caught.value.message.isprintable()
    host.remove(path, was=host.stat(path))
    assert names(tmp_path) == []


def test_find_is_sorted_and_hides_temporaries(host, tmp_path):
    for name in ("b.log", "a.log", "c.txt", ".x.log.12345678.runbook-tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "d.log").write_bytes(b"")
    (tmp_path / "loop").symlink_to(".")
    assert [found.path.name for found in host.find(tmp_path, "*.log")] == ["a.log", "b.log"]
    paths = [str(found.path.relative_to(tmp_path)) for found in host.find(tmp_path, recursive=True)]
    assert paths == ["a.log", "b.log", "c.txt", "loop", "sub", "sub/deep", "sub/deep/d.log"]
    assert host.find(tmp_path / "missing") == []
    with pytest.raises(TaskFailed, match="Not a directory"):
        host.find(tmp_path / "a.log")
    with pytest.raises(TaskFailed, match="slash"):
        host.find(tmp_path, "sub/*")


def test_find_lists_a_folder_once_and_looks_at_nothing_by_path(host, tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"{number}.log").touch()
    real, calls = os.scandir, []
    monkeypatch.setattr(os, "scandir", lambda path: (calls.append(path), real(path))[1])
    for name in ("stat", "lstat", "listdir"):
        monkeypatch.setattr(os, name, lambda *_, **__: calls.append("again"))
    assert len(host.find(tmp_path, "*.log")) == 50
    assert calls == [str(tmp_path)]


def test_a_fifo_is_refused_and_does_not_hang(host, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TaskFailed, match="no regular file"):
        host.read(tmp_path / "fifo")
    with pytest.raises(TaskFailed, match="no regular file"):
        host.read(Path("/dev/null"))
    with pytest.raises(TaskFailed, match="Is a directory"):
        host.read(tmp_path)
    with pytest.raises(TaskFailed, match="No such file"):
        host.sha256(tmp_path / "missing")


def test_read_has_a_limit(host, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert host.read(tmp_path / "a", limit=5) == b"12345"
    with pytest.raises(TaskFailed, match="more than 4 bytes"):
        host.read(tmp_path / "a", limit=4)
    assert host.sha256(tmp_path / "a") == hashlib.sha256(b"12345").hexdigest()


def test_links_that_lead_nowhere(host, tmp_path):
    (tmp_path / "dangling").symlink_to("missing")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("dangling", "loop"):
        assert host.stat(tmp_path / name) is None
        assert host.stat(tmp_path / name, follow=False).kind == "link"
    assert host.resolve(tmp_path / "dangling") == tmp_path / "missing"
    with pytest.raises(TaskFailed, match="symbolic links"):
        host.resolve(tmp_path / "loop")
    assert host.readlink(tmp_path / "missing") is None


@pytest.mark.parametrize("name", ["a\0b", "a" * 300, "\ud800"])
def test_paths_that_cannot_be_are_failures_of_the_task(host, tmp_path, name):
    path = tmp_path / name
    was = host.stat(tmp_path)
    for call in (
        lambda: host.stat(path),
        lambda: host.read(path),
        lambda: host.find(path),
        lambda: host.write(path, b"", mode=None, was=None),
        lambda: host.remove(path, was=was),
        lambda: host.make_folder(path, mode=None),
        lambda: host.resolve(path) if "\0" in name else host.stat(path),
    ):
        with pytest.raises(TaskFailed, match="cannot"):
            call()


def test_relative_paths_start_at_cwd(host, tmp_path):
    host.write(Path("a"), b"", mode=None, was=None)
    assert host.find(Path())[0].path == tmp_path / "a"


def test_facts_usage_and_mounts(host, tmp_path):
    assert set(host.facts) >= {"os", "hostname", "python", "user", "cpus", "cpu", "memory"}
    assert host.facts["memory"] > 2**20
    assert host.facts["cpus"] >= 1
    assert dict(host.facts)["hostname"] == os.uname().nodename
    assert host.usage(tmp_path).total >= host.usage(tmp_path).free > 0
    assert Path("/proc") in host.mounts()
    assert host.writable(tmp_path)
    assert not host.writable(tmp_path / "missing")


# Processes


def sh(host, line, **more):
    return host.run(RunCommand((line,), shell=True, **more))


def test_run_gives_status_and_output_and_tells_each_line(host, ear):
    done = sh(host, "echo one; printf two; echo three >&2; exit 3")
    assert (done.rc, done.stdout, done.stderr) == (3, "one\ntwo", "three\n")
    assert sorted(ear.lines) == [("stderr", "three"), ("stdout", "one"), ("stdout", "two")]
    assert done.duration_s > 0
    assert done.started_at.endswith("Z")


def test_what_a_probe_says_on_stdout_is_for_the_task_alone(host, ear):
    """It may be a protocol; on stderr it says how far it is."""
    done = host.probe(["sh", "-c", "echo '{\"table\": null}'; echo half >&2"])
    assert done.stdout == '{"table": null}\n'
    assert ear.lines == [("stderr", "half")]


def test_run_feeds_stdin_and_environment(host, tmp_path):
    host = host.begin("step 1", env={"GREETING": "hello"})
    assert sh(host, "cat; echo $GREETING $KEY; pwd", stdin=Secret("in"), env={"KEY": Secret("s3cr3t")}).stdout == (
        f"inhello s3cr3t\n{tmp_path}\n"
    )
    assert host.env["GREETING"] == "hello"
    host = host.begin("step 2")
    assert "GREETING" not in host.env
    assert "GREETING" not in os.environ
    assert host.probe(["cat"], stdin="x" * 300_000).stdout == "x" * 300_000
    assert host.probe(["true"], stdin="x" * 300_000).rc == 0
    assert host.probe(["cat"]).stdout == ""


def test_output_of_any_bytes_and_any_length(host):
    assert sh(host, r"printf '\377'").stdout == "\udcff"
    done = sh(host, "head -c 20000000 /dev/zero | tr '\\0' a; echo end")
    assert done.stdout.startswith("[the first ")
    assert done.stdout.endswith("aend\n")
    assert len(done.stdout) < 17 * 2**20


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (RunCommand(("no-such-program",)), "there is no program no-such-program"),
        (RunCommand(("./plain",)), "Permission denied"),
        (RunCommand(("./text",)), "Exec format error"),
        (RunCommand(("true",), cwd=Path("missing")), "its folder .*missing is not there"),
        (RunCommand(()), "no command"),
        (RunCommand(("a\0b",)), "NUL"),
    ],
)
def test_what_cannot_be_started(host, tmp_path, command, message):
    (tmp_path / "plain").write_text("x")
    (tmp_path / "text").write_text("x")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(TaskFailed, match=message):
        host.run(command)


def gone(pid):
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_the_time_limit_ends_the_whole_group(host, tmp_path):
    with pytest.raises(TimedOut, match="did not end within 300ms") as caught:
        sh(host, "sleep 60 & echo $! > pid; echo said; wait", timeout=0.3)
    assert caught.value.data["stdout"] == "said\n"
    assert gone(int((tmp_path / "pid").read_text()))


def test_who_ignores_term_is_killed(host, monkeypatch):
    monkeypatch.setattr("runbook.host.processes.converse.GRACE", 0.2)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        sh(host, "trap '' TERM; while :; do sleep 0.05; done", timeout=0.2)
    assert time.monotonic() - started < 2


def test_what_a_process_leaves_behind_is_ended(host, tmp_path):
    started = time.monotonic()
    assert sh(host, "sleep 60 & echo $! > pid").rc == 0
    assert gone(int((tmp_path / "pid").read_text()))
    assert time.monotonic() - started < 2


def test_the_deadline_of_the_step_holds_for_every_call(host, tmp_path):
    host = host.begin("step 7 'wait'", deadline=time.monotonic() + 0.2)
    with pytest.raises(TimedOut, match="step's time is over"):
        sh(host, "sleep 60")
    for call in (
        lambda: host.stat(tmp_path),
        lambda: host.sleep(1),
        lambda: host.probe(["true"]),
        lambda: host.write(tmp_path / "a", b"", mode=None, was=None),
        lambda: host.ask(Exchange("GET", "http://127.0.0.1:1/")),
    ):
        with pytest.raises(TimedOut, match="step 7 'wait'"):
            call()
    host = host.begin("step 8")
    assert host.sleep(0.01)
    host = host.begin("step 9", deadline=time.monotonic() + 0.1)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        host.sleep(60)
    assert time.monotonic() - started < 1


def test_stop_ends_running_children(host, tmp_path):
    timer = threading.Timer(0.3, host.stop, [signal.SIGINT])
    timer.start()
    started = time.monotonic()
    with pytest.raises(Stopped, match="signal 2"):
        sh(host, "sleep 60")
    with pytest.raises(Stopped):
        host.begin("step 2").stat(tmp_path)
    assert time.monotonic() - started < 5
    timer.join()


def test_an_interrupted_run_ends_its_process(host, tmp_path, ear):
    def interrupt(stream, line):
        raise KeyboardInterrupt

    ear.output = interrupt
    with pytest.raises(KeyboardInterrupt):
        sh(host, "echo $$ > pid; echo said; sleep 60")
    assert gone(int((tmp_path / "pid").read_text()))


def test_children_inherit_no_descriptors(host, tmp_path):
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        assert "lock" not in sh(host, "ls -l /proc/self/fd").stdout


# Requests


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(1)
        if self.path == "/to":
            self.send_response(302)
            self.send_header("Location", "/")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Key", self.headers.get("X-Key", ""))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"x" * 1000)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("X-Type", self.headers.get("Content-Type", ""))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_ask_and_request(host, url):
    answer = host.ask(Exchange("GET", f"{url}/", headers={"X-Key": Secret("s3cr3t")}))
    assert (answer.status, answer.headers["x-key"], len(answer.body)) == (200, "s3cr3t", 1000)
    sent = host.request(Exchange("POST", f"{url}/", body={"key": Secret("s3cr3t")}), affects=())
    assert (sent.status, sent.body, sent.headers["x-type"]) == (201, b'{"key":"s3cr3t"}', "application/json")
    assert host.ask(Exchange("POST", url, body="text")).body == b"text"
    assert host.ask(Exchange("GET", f"{url}/to")).status == 302
    assert host.ask(Exchange("GET", f"{url}/to", follow_redirects=True)).status == 200


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("exchange", "message"),
    [
        (lambda _url: Exchange("GET", f"http://u:hidden9@127.0.0.1:{closed_port()}/x"), "GET http://127.*refused"),
        (lambda url: Exchange("GET", f"{url}/", max_bytes=100), "larger than 100B"),
        (lambda url: Exchange("GET", f"{url}/slow", timeout=0.2), r"no answer within 0\.2 s"),
        (lambda _url: Exchange("GET", "http://no-such-host.invalid/"), "cannot be resolved|connection"),
        (lambda url: Exchange("GET", url.replace("http", "https")), "TLS failed"),
        (lambda _url: Exchange("GET", "ftp://x/"), "no URL of HTTP"),
        (lambda _url: Exchange("GET", "nonsense"), "no URL of HTTP"),
        (lambda url: Exchange("GET", url, headers={"X": Secret("hidden9\n")}), "what HTTP does not allow"),
    ],
)
def test_failures_are_told_plainly_and_without_secrets(host, url, exchange, message):
    with pytest.raises(TaskFailed, match=message) as caught:
        host.ask(exchange(url))
    error = caught.value
    while error is not None:
        assert "hidden9" not in f"{error!s}{error!r}"
        error = error.__cause__


def test_unknown_clients_name_what_there_is(host):
    with pytest.raises(TaskFailed, match="no client 'nonsense'") as caught:
        host.client("nonsense")
    assert "docker" in caught.value.hint
    with pytest.raises(TaskFailed, match="needs the library") as caught:
        host.client("mlflow")
    assert caught.value.hint == "pip install 'runbook[mlflow]'"


def test_the_real_machine_costs_no_heavy_imports():
    heavy = ("httpx", "psutil", "isal", "ssl", "pydantic", "ctypes", "jinja2")
    code = f"import sys, runbook.host.local, runbook.host.imagined.overlay; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_tilde_is_refused_not_made_a_folder(host, tmp_path):
    with pytest.raises(TaskFailed, match="~ is not expanded"):
        host.stat(Path("~/x"))
    assert host.stat(tmp_path / "~") is None
