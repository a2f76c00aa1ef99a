"""The machine as it would be: every case in which an overlay could be silently wrong."""

import hashlib
import http.server
import os
import subprocess
import sys
import textwrap
import threading
import time
import timeit
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.changes import Chmod, Exchange, FileRef, Move, Remove, RunCommand, Write
from runbook.errors import ImpurePlan, Moved, TaskFailed, TimedOut, Unsure
from runbook.host import LocalHost, Overlay
from runbook.host.guard import drive
from runbook.units import Secret
from runbook.unknown import Unknown, reason_of

NOW = datetime(2026, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
NS = 1_772_366_400_123_457_000


@pytest.fixture
def real(tmp_path):
    host = LocalHost(now=NOW, cwd=tmp_path, env=dict(os.environ), run_id="run-00000001", umask=0o022)
    yield host
    host.close()


@pytest.fixture
def overlay(real):
    overlay = Overlay(real, imagined=True)
    return overlay.begin("step 4 'restart the API'")


def tree(folder):
    return sorted(
        (str(p.relative_to(folder)), p.is_symlink() or p.is_dir() or p.read_bytes()) for p in folder.rglob("*")
    )


def names(host, folder, **more):
    return [str(found.path.relative_to(folder)) for found in host.find(folder, **more)]


def remove(host, path):
    host.remove(path, was=host.stat(path, follow=False))


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.ismount("/proc"), reason="root may write everywhere but there")
def test_what_the_kernel_fills_takes_nothing_of_root(overlay):
    with pytest.raises(TaskFailed, match="cannot make the folder /proc/made: Permission denied"):
        overlay.make_folder(Path("/proc/made"), mode=None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_read_only_file_system_is_named(overlay, tmp_path):
    """Even to root, who may write all else."""
    mounting = ["mount", "-t", "tmpfs", "-o", "ro", "none", tmp_path]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(TaskFailed, match="made: Read-only file system") as failed:
            overlay.make_folder(tmp_path / "made", mode=None)
        assert failed.value.hint.startswith("the file system is mounted read-only")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_changes_stay_on_the_overlay(overlay, tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    before = tree(tmp_path)
    overlay.write(tmp_path / "a", b"new", mode=0o600, was=overlay.stat(tmp_path / "a"))
    overlay.make_folder(tmp_path / "f", mode=None)
    overlay.write(tmp_path / "f" / "b", b"b", mode=None, was=None)
    assert overlay.read(tmp_path / "a") == b"new"
    assert overlay.stat(tmp_path / "a").mode == 0o600
    assert names(overlay, tmp_path, recursive=True) == ["a", "f", "f/b"]
    assert tree(tmp_path) == before


def test_new_files_bear_the_frozen_time_and_an_identity(overlay, tmp_path):
    path = tmp_path / "a"
    overlay.write(path, b"x", mode=None, was=None)
    made = overlay.stat(path)
    assert (made.mtime, made.size, made.mode, made.uid) == (NS, 1, 0o644, os.geteuid())
    assert made.device == 0
    assert made.inode < 0
    overlay.write(tmp_path / "b", b"x", mode=None, was=None, mtime=5)
    assert overlay.stat(tmp_path / "b").mtime == 5
    assert not overlay.stat(tmp_path / "b").same_as(made)
    overlay.remove(path, was=made)
    assert overlay.stat(path) is None
    with pytest.raises(Moved, match="is gone"):
        overlay.remove(path, was=made)
    overlay.write(path, b"x", mode=None, was=None)
    with pytest.raises(Moved, match="changed or replaced"):
        overlay.remove(path, was=made)


def test_a_link_in_the_middle_of_a_path(overlay, tmp_path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to("v1")
    overlay.write(tmp_path / "current" / "a", b"1", mode=None, was=None)
    assert overlay.read(tmp_path / "v1" / "a") == b"1"
    overlay.make_folder(tmp_path / "v2", mode=None)
    overlay.link(tmp_path / "current", "v2", hard=False, was=overlay.stat(tmp_path / "current", follow=False))
    assert overlay.stat(tmp_path / "current" / "a") is None
    overlay.write(tmp_path / "current" / "a", b"2", mode=None, was=None)
    assert overlay.read(tmp_path / "v2" / "a") == b"2"
    assert overlay.read(tmp_path / "v1" / "a") == b"1"
    assert overlay.resolve(tmp_path / "current" / "a") == tmp_path / "v2" / "a"


def test_dots_after_a_link_are_of_where_it_leads(overlay, tmp_path):
    (tmp_path / "x" / "deep").mkdir(parents=True)
    overlay.link(tmp_path / "link", "x/deep", hard=False, was=None)
    overlay.write(tmp_path / "link" / ".." / "a", b"1", mode=None, was=None)
    assert overlay.read(tmp_path / "x" / "a") == b"1"
    assert overlay.stat(tmp_path / "a") is None


def test_a_folder_removed_and_made_again_is_empty(overlay, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").write_bytes(b"old")
    with pytest.raises(TaskFailed, match="Directory not empty"):
        remove(overlay, tmp_path / "f")
    remove(overlay, tmp_path / "f" / "a")
    assert overlay.find(tmp_path / "f") == []
    remove(overlay, tmp_path / "f")  # only tombstones are left in it
    assert overlay.stat(tmp_path / "f") is None
    overlay.make_folder(tmp_path / "f", mode=None)
    assert overlay.find(tmp_path / "f") == []
    assert overlay.stat(tmp_path / "f" / "a") is None
    overlay.write(tmp_path / "f" / "a", b"new", mode=None, was=None)
    assert names(overlay, tmp_path, recursive=True) == ["f", "f/a"]


def test_a_renamed_folder_takes_its_children_along(overlay, tmp_path):
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "a" / "real").write_bytes(b"real")
    (tmp_path / "a" / "sub" / "deep").write_bytes(b"deep")
    overlay.write(tmp_path / "a" / "made", b"made", mode=None, was=None)
    remove(overlay, tmp_path / "a" / "real")
    overlay.move(tmp_path / "a", tmp_path / "b", was=overlay.stat(tmp_path / "a"))
    assert names(overlay, tmp_path, recursive=True) == ["b", "b/made", "b/sub", "b/sub/deep"]
    assert overlay.read(tmp_path / "b" / "sub" / "deep") == b"deep"
    assert overlay.read(tmp_path / "b" / "made") == b"made"
    assert overlay.sha256(tmp_path / "b" / "sub" / "deep") == hashlib.sha256(b"deep").hexdigest()
    with pytest.raises(TaskFailed, match="Invalid argument"):
        overlay.move(tmp_path / "b", tmp_path / "b" / "c", was=overlay.stat(tmp_path / "b"))


def test_writing_where_something_was_removed(overlay, tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    remove(overlay, tmp_path / "a")
    assert names(overlay, tmp_path) == []
    overlay.write(tmp_path / "a", b"new", mode=None, was=None)
    assert overlay.read(tmp_path / "a") == b"new"
    assert overlay.stat(tmp_path / "a").mode == 0o644


def test_dangling_and_looping_links(overlay, tmp_path):
    overlay.link(tmp_path / "dangling", "missing", hard=False, was=None)
    overlay.link(tmp_path / "loop", "pool", hard=False, was=None)
    overlay.link(tmp_path / "pool", "loop", hard=False, was=None)
    for name in ("dangling", "loop"):
        assert overlay.stat(tmp_path / name) is None
        assert overlay.stat(tmp_path / name, follow=False).is_link
    with pytest.raises(TaskFailed, match="symbolic links"):
        overlay.resolve(tmp_path / "loop")
    with pytest.raises(TaskFailed, match="symbolic links"):
        overlay.write(tmp_path / "loop" / "x", b"", mode=None, was=None)
    assert overlay.resolve(tmp_path / "dangling") == tmp_path / "missing"
    overlay.write(tmp_path / "dangling", b"x", mode=None, was=None)
    assert overlay.read(tmp_path / "missing") == b"x"


@pytest.mark.parametrize("made", [True, False])
def test_a_chmod_through_one_hard_link_is_seen_through_the_other(overlay, tmp_path, made):
    (tmp_path / "a").write_bytes(b"x")
    if made:
        overlay.link(tmp_path / "b", "a", hard=True, was=None)
    else:
        os.link(tmp_path / "a", tmp_path / "b")
    assert overlay.stat(tmp_path / "b").links == 2
    overlay.chmod(tmp_path / "a", 0o600, was=overlay.stat(tmp_path / "a"))
    assert overlay.stat(tmp_path / "b").mode == 0o600
    assert [found.stat.mode for found in overlay.find(tmp_path)] == [0o600, 0o600]
    remove(overlay, tmp_path / "a")
    assert overlay.stat(tmp_path / "b").links == 1
    assert overlay.read(tmp_path / "b") == b"x"


def test_a_retargeted_link_protects_its_new_target(overlay, tmp_path):
    for name in ("1.onnx", "2.onnx"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "latest.onnx").symlink_to("1.onnx")
    overlay.link(
        tmp_path / "latest.onnx", "2.onnx", hard=False, was=overlay.stat(tmp_path / "latest.onnx", follow=False)
    )
    assert overlay.resolve(tmp_path / "latest.onnx") == tmp_path / "2.onnx"
    assert overlay.readlink(tmp_path / "latest.onnx") == "2.onnx"
    kinds = {found.path.name: found.stat.kind for found in overlay.find(tmp_path, "*.onnx")}
    assert kinds == {"1.onnx": "file", "2.onnx": "file", "latest.onnx": "link"}


def test_a_file_in_the_place_of_a_folder(overlay, tmp_path):
    (tmp_path / "f").mkdir()
    remove(overlay, tmp_path / "f")
    overlay.write(tmp_path / "f", b"", mode=None, was=None)
    assert overlay.stat(tmp_path / "f" / "a") is None
    for call in (
        lambda: overlay.write(tmp_path / "f" / "a", b"", mode=None, was=None),
        lambda: overlay.make_folder(tmp_path / "f" / "a", mode=None),
        lambda: overlay.find(tmp_path / "f"),
    ):
        with pytest.raises(TaskFailed, match="Not a directory"):
            call()


def test_what_the_system_would_refuse(overlay, tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(TaskFailed, match=r"cannot write .*: No such file or directory"):
        overlay.write(tmp_path / "x" / "y", b"", mode=None, was=None)
    with pytest.raises(Moved, match="is there now"):
        overlay.make_folder(tmp_path / "a", mode=None)
    with pytest.raises(Moved, match="is there now"):
        overlay.write(tmp_path / "a", b"", mode=None, was=None)
    with pytest.raises(TaskFailed, match="Is a directory"):
        overlay.write(tmp_path, b"", mode=None, was=overlay.stat(tmp_path))
    with pytest.raises(TaskFailed, match="File name too long"):
        overlay.write(tmp_path / ("n" * 256), b"", mode=None, was=None)
    with pytest.raises(TaskFailed, match="NUL"):
        overlay.write(tmp_path / "a\0b", b"", mode=None, was=None)


AS_NOBODY = """
    import ctypes, os, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from runbook.errors import TaskFailed
    from isal import igzip  # what is imported later may not be readable by then
    from runbook.host import LocalHost, Overlay

    root = Path(sys.argv[1])
    real = LocalHost(now=datetime(2026, 3, 1, tzinfo=UTC), cwd=root, env={}, run_id="run-00000001")
    overlay = Overlay(real)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

    def attempts(host):
        theirs, ours = root / "theirs", root / "ours"
        stat = host.stat(theirs / "a")
        yield lambda: host.write(theirs / "new", b"", mode=None, was=None)
        yield lambda: host.write(theirs / "a", b"", mode=None, was=stat)
        yield lambda: host.remove(theirs / "a", was=stat)
        yield lambda: host.move(theirs / "a", ours / "a", was=stat)
        yield lambda: host.make_folder(theirs / "f", mode=None)
        yield lambda: host.chmod(theirs / "a", 0o777, was=stat)
        yield lambda: host.link(theirs / "l", "a", hard=False, was=None)
        yield lambda: host.compress(theirs / "a", theirs / "a.gz", was=stat, level=1)
        yield lambda: host.compress(theirs / "hidden", ours / "a.gz", was=host.stat(theirs / "hidden"), level=1)
        yield lambda: host.read(theirs / "hidden")
        yield lambda: host.stat(root / "closed" / "a")
        yield lambda: host.remove(root / "sticky" / "a", was=host.stat(root / "sticky" / "a"))
        yield lambda: host.make_folder(ours / "f", mode=0o555)
        yield lambda: host.write(ours / "f" / "a", b"", mode=None, was=None)
        yield lambda: host.make_folder(ours / "g", mode=None)
        yield lambda: host.write(ours / "g" / "a", b"", mode=0, was=None)
        yield lambda: host.read(ours / "g" / "a")
        yield lambda: host.chmod(ours, 0o555, was=host.stat(ours))
        yield lambda: host.write(ours / "b", b"", mode=None, was=None)
        yield lambda: print("writable", host.writable(ours), host.writable(theirs), host.writable(ours / "g"))

    for host in (overlay, real):
        for number, attempt in enumerate(attempts(host)):
            try:
                attempt()
                print(number, "done")
            except TaskFailed as failed:
                print(number, failed)
        print("---")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can plan as somebody else")
def test_a_user_who_may_not_is_told_so_in_the_same_words():
    root = Path("/var/tmp") / f"runbook-test-{os.getpid()}"  # pytest's own folder is closed to other users
    root.mkdir(mode=0o755)
    try:
        for name, mode in (("theirs", 0o755), ("ours", 0o755), ("closed", 0o700), ("sticky", 0o1777)):
            (root / name).mkdir()
            (root / name).chmod(mode)
        for name in ("theirs/a", "closed/a", "sticky/a", "theirs/hidden"):
            (root / name).write_bytes(b"x")
        (root / "theirs/hidden").chmod(0)
        os.chown(root / "ours", 65534, 65534)
        code = [sys.executable, "-c", textwrap.dedent(AS_NOBODY), str(root)]
        done = subprocess.run(code, capture_output=True, text=True, check=True)
    finally:
        subprocess.run(["rm", "-rf", root], check=True)
    predicted, happened, _ = done.stdout.split("---\n")
    assert predicted == happened
    assert happened.count("Permission denied") == 13
    assert happened.count("Operation not permitted") == 2
    assert "writable False False True" in happened


def test_compressed_and_produced_files_are_known_after_the_run(overlay, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    os.utime(tmp_path / "a", ns=(5, 5))
    overlay.compress(tmp_path / "a", tmp_path / "a.gz", was=overlay.stat(tmp_path / "a"), level=2)
    outcome = overlay.produce(tmp_path / "m", lambda _path: pytest.fail("it was made"), mode=None, was=None)
    assert isinstance(outcome, Unknown)
    for name, mtime in (("a.gz", 5), ("m", NS)):
        found = overlay.stat(tmp_path / name)
        assert found.mtime == mtime
        assert reason_of(found.size) == "depends on step 4 'restart the API'"
        for call in (overlay.read, overlay.open, overlay.sha256):
            with pytest.raises(Unsure) as caught:
                call(tmp_path / name)
            assert caught.value.reason == "depends on step 4 'restart the API'"
        remove(overlay, tmp_path / name)
    assert names(overlay, tmp_path) == ["a"]


def test_a_copy_of_what_is_not_yet_made_is_not_yet_known(overlay, tmp_path):
    overlay.produce(tmp_path / "m", lambda _path: None, mode=None, was=None)
    overlay.move(tmp_path / "m", tmp_path / "n", was=overlay.stat(tmp_path / "m"))
    overlay.write(tmp_path / "copy", FileRef(tmp_path / "n", 3, "0" * 64), mode=None, was=None)
    with pytest.raises(Unsure):
        overlay.read(tmp_path / "copy")


def test_contents_by_reference_and_secret(overlay, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"data")
    reference = FileRef(source, 4, hashlib.sha256(b"data").hexdigest())
    overlay.write(tmp_path / "copy", reference, mode=None, was=None)
    remove(overlay, source)
    assert overlay.read(tmp_path / "copy") == b"data"
    assert overlay.sha256(tmp_path / "copy") == reference.sha256
    overlay.write(tmp_path / "key", Secret("s3cr3t"), mode=0o600, was=None)
    assert overlay.stat(tmp_path / "key").size == 6
    assert overlay.read(tmp_path / "key") == b"s3cr3t"
    with pytest.raises(TaskFailed, match=r"cannot read .*source: No such file"):
        overlay.write(tmp_path / "again", reference, mode=None, was=None)


def test_an_opened_file_is_read_in_pieces(overlay, tmp_path):
    overlay.write(tmp_path / "a", b"12345", mode=None, was=None)
    with overlay.open(tmp_path / "a") as file:
        assert (file.read(2), file.read()) == (b"12", b"345")
    with pytest.raises(TaskFailed, match="more than 4 bytes"):
        overlay.read(tmp_path / "a", limit=4)


def test_a_fifo_is_never_opened(overlay, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    overlay.write(tmp_path / "a", b"", mode=None, was=None)
    with pytest.raises(TaskFailed, match="no regular file"):
        overlay.read(tmp_path / "fifo")


# Overlays over overlays


def test_a_step_is_planned_on_an_overlay_of_the_runs(overlay, tmp_path):
    (tmp_path / "a").write_bytes(b"real")
    overlay.write(tmp_path / "b", b"run", mode=None, was=None)
    step = Overlay(overlay)
    assert step.imagined
    step.write(tmp_path / "c", b"step", mode=None, was=None)
    remove(step, tmp_path / "a")
    step.chmod(tmp_path / "b", 0o600, was=step.stat(tmp_path / "b"))
    assert names(step, tmp_path) == ["b", "c"]
    assert step.stat(tmp_path / "b").mode == 0o600
    assert names(overlay, tmp_path) == ["a", "b"]
    assert overlay.stat(tmp_path / "b").mode == 0o644
    assert tree(tmp_path) == [("a", b"real")]


@pytest.mark.parametrize("target", ["overlay", "real"])
def test_the_changes_of_a_plan_apply_where_they_are_meant(request, target, tmp_path):
    host = request.getfixturevalue(target)
    (tmp_path / "old").write_bytes(b"old")
    plan = Overlay(host)

    def task():
        yield Write(tmp_path / "a", b"1")
        yield Chmod(tmp_path / "a", 0o600, was=plan.stat(tmp_path / "a"))
        yield Move(tmp_path / "a", tmp_path / "b", was=plan.stat(tmp_path / "a"))
        yield Write(tmp_path / "b", b"2", was=plan.stat(tmp_path / "b"))
        yield Remove(tmp_path / "old", was=plan.stat(tmp_path / "old"))

    changes = []
    drive("files.test", task, lambda change: (change.apply(plan), changes.append(change)))
    for change in changes:
        change.apply(host)
    assert names(host, tmp_path) == ["b"]
    assert (host.read(tmp_path / "b"), host.stat(tmp_path / "b").mode) == (b"2", 0o600)


def test_an_overlay_is_cheap():
    real = LocalHost(now=NOW, cwd=Path("/"), env={}, run_id="r")
    best = min(timeit.repeat(lambda: Overlay(real), number=200, repeat=20)) / 200
    assert best < 20e-6  # seconds; about 3e-6 on an idle machine


# Doubts


def test_after_a_process_everything_is_in_doubt(overlay):
    assert overlay.doubt() is None
    outcome = overlay.run(RunCommand(("true",)))
    assert reason_of(outcome) == "depends on step 4 'restart the API'"
    assert overlay.doubt() == "depends on step 4 'restart the API'"
    step = Overlay(overlay)
    assert step.doubt() == "depends on step 4 'restart the API'"
    overlay = overlay.begin("step 5 'seed'")
    overlay.run(RunCommand(("seed",), shell=True))
    assert step.doubt() == "depends on step 5 'seed'"


def test_a_process_that_says_what_it_affects_leaves_the_rest_certain(overlay, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"")
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "link").symlink_to("data")
    overlay.run(RunCommand(("true",), affects=(str(tmp_path / "data"),)))
    assert overlay.doubt() is None
    assert overlay.read(tmp_path / "other") == b"x"
    assert overlay.find(tmp_path.parent, "no-such-*") == []
    step = Overlay(overlay)
    for call in (
        lambda: step.stat(tmp_path / "data" / "a"),
        lambda: step.read(tmp_path / "link" / "a"),
        lambda: step.find(tmp_path / "data"),
        lambda: step.find(tmp_path, recursive=True),
        lambda: overlay.sha256(tmp_path / "data" / "a"),
    ):
        with pytest.raises(Unsure, match="step 4"):
            call()


def test_a_process_that_affects_nothing_leaves_no_doubt(overlay, tmp_path):
    overlay.run(RunCommand(("true",), affects=()))
    assert overlay.doubt() is None
    assert overlay.stat(tmp_path).is_folder


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (RunCommand(("no-such-program", "-x")), "there is no program no-such-program"),
        (RunCommand(("./plain",)), "Permission denied"),
        (RunCommand(("true",), cwd=Path("missing")), "its folder .*missing is not there"),
        (RunCommand(()), "no command"),
    ],
)
def test_a_command_that_cannot_be_started_is_told_alike(overlay, real, tmp_path, command, message):
    (tmp_path / "plain").write_text("x")
    said = []
    for host in (overlay, real):
        with pytest.raises(TaskFailed, match=message) as caught:
            host.run(command)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_program_made_on_the_overlay_could_be_started(overlay, tmp_path):
    overlay.write(tmp_path / "tool", b"#!/bin/sh\n", mode=0o755, was=None)
    assert isinstance(overlay.run(RunCommand(("./tool",))), Unknown)
    assert isinstance(overlay.run(RunCommand(("installed-by-the-tool",))), Unknown)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def url():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_that_gets_a_request_is_in_doubt(overlay, url):
    other = Exchange("GET", url.replace("127.0.0.1", "localhost"))
    assert overlay.ask(Exchange("GET", url)).status == 200
    overlay.request(Exchange("POST", f"{url}/reload"), affects=())
    assert overlay.doubt() is None
    for host in (overlay, Overlay(overlay)):
        with pytest.raises(Unsure, match="step 4"):
            host.ask(Exchange("GET", f"{url.upper().replace('HTTP', 'http')}/version"))
        assert host.ask(other).status == 200
    overlay.request(Exchange("POST", f"{url}/"), affects=None)
    assert overlay.doubt() == "depends on step 4 'restart the API'"


def test_affected_addresses_are_prefixes(overlay, url):
    overlay.run(RunCommand(("true",), affects=(f"{url}/v1",)))
    with pytest.raises(Unsure):
        overlay.ask(Exchange("GET", f"{url}/v1/models"))
    assert overlay.ask(Exchange("GET", f"{url}/health")).status == 200


def test_only_what_is_imagined_does_not_wait(overlay, real):
    started = time.monotonic()
    assert not overlay.sleep(60)
    assert not Overlay(overlay).sleep(60)
    assert Overlay(real).sleep(0.01)
    assert not Overlay(real).imagined
    assert time.monotonic() - started < 5


def test_the_deadline_and_the_environment_reach_the_machine(overlay, tmp_path):
    overlay = overlay.begin("step 5 'x'", deadline=time.monotonic() + 30, env={"GREETING": "hello"})
    assert overlay.env["GREETING"] == "hello"
    assert Overlay(overlay).probe(["sh", "-c", "echo $GREETING"]).stdout == "hello\n"
    overlay = overlay.begin("step 6 'y'", deadline=time.monotonic() - 1)
    for call in (lambda: overlay.stat(tmp_path), lambda: overlay.sleep(1), lambda: Overlay(overlay).find(tmp_path)):
        with pytest.raises(TimedOut, match="step 6 'y'"):
            call()


def test_facts_and_space_are_the_machines(overlay, tmp_path):
    overlay.make_folder(tmp_path / "f", mode=None)
    assert overlay.usage(tmp_path / "f").total == overlay.usage(tmp_path).total
    with pytest.raises(TaskFailed, match="No such file"):
        overlay.usage(tmp_path / "missing")
    assert overlay.facts["hostname"] == os.uname().nodename
    assert Path("/proc") in overlay.mounts()
    assert overlay.writable(tmp_path / "f")
    assert not overlay.writable(tmp_path / "missing")


def test_a_plugin_must_not_call_the_mutators_itself(overlay, tmp_path):
    for call in (
        lambda: overlay.write(tmp_path / "a", b"", mode=None, was=None),
        lambda: overlay.run(RunCommand(("true",))),
        lambda: overlay.request(Exchange("POST", "http://localhost/"), affects=None),
    ):
        with pytest.raises(ImpurePlan, match=r"plugin 'files\.bad' called host\."):
            drive("files.bad", call, lambda _change: None)
    assert overlay.stat(tmp_path / "a") is None
