"""The purity guard: what a plugin may not do while it plans, and what it may."""

import _thread
import asyncio
import ctypes.util
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.changes import MakeFolder, Write
from runbook.errors import ImpurePlan, TaskFailed
from runbook.host import LocalHost, Overlay
from runbook.host.guard import active, drive, install, lifted, planning


@pytest.fixture(autouse=True, scope="module")
def hook():
    install()
    install()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "d").mkdir()
    return tmp_path


def listen():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))


def connect():
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", 1))


DEEDS = {
    "open": lambda f: (f / "new").open("w"),
    "append": lambda f: (f / "a").open("ab"),
    "update": lambda f: (f / "a").open("r+b"),
    "os.open": lambda f: os.open(f / "new", os.O_CREAT | os.O_WRONLY),
    "truncate": lambda f: os.truncate(f / "a", 0),
    "unlink": lambda f: (f / "a").unlink(),
    "rmdir": lambda f: (f / "d").rmdir(),
    "rename": lambda f: (f / "a").rename(f / "b"),
    "replace": lambda f: os.replace(f / "a", f / "b"),
    "mkdir": lambda f: (f / "e").mkdir(),
    "link": lambda f: os.link(f / "a", f / "b"),
    "symlink": lambda f: (f / "l").symlink_to("a"),
    "chmod": lambda f: (f / "a").chmod(0o600),
    "chown": lambda f: os.chown(f / "a", -1, -1),
    "utime": lambda f: os.utime(f / "a"),
    "xattr": lambda f: os.setxattr(f / "a", "user.x", b""),
    "chdir": os.chdir,
    "environ": lambda _f: os.environ.update(RUNBOOK_TEST="1"),
    "unsetenv": lambda _f: os.unsetenv("RUNBOOK_TEST"),
    "system": lambda _f: os.system("true"),
    "popen": lambda _f: subprocess.run(["true"], check=True),
    "spawn": lambda _f: os.posix_spawn("/bin/true", ["true"], {}),
    "fork": lambda _f: os.fork() or os._exit(0),
    "kill": lambda _f: os.kill(os.getpid(), 0),
    "connect": lambda _f: connect(),
    "bind": lambda _f: listen(),
    "sqlite": lambda f: sqlite3.connect(f / "db"),
    "copy": lambda f: shutil.copy(f / "a", f / "b"),
    "rmtree": lambda f: shutil.rmtree(f / "d"),
    "tempfile": lambda _f: tempfile.mkstemp(),
    "raw thread": lambda _f: _thread.start_new_thread(print, ()),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_every_deed_is_refused_and_recorded(folder, deed):
    before = sorted(os.listdir(folder)), os.environ.get("RUNBOOK_TEST")
    tempfile.gettempdir()
    with pytest.raises(ImpurePlan, match=r"^plugin 'files\.bad' .* while planning; "), planning("files.bad") as guard:
        DEEDS[deed](folder)
    assert len(guard.violations) == 1
    assert (sorted(os.listdir(folder)), (folder / "a").read_bytes()) == (before[0], b"x")
    assert os.environ.pop("RUNBOOK_TEST", None) in {None, "1"}  # Python's own copy is set before the system's
    assert (folder / "after").write_bytes(b"x") == 1


def test_the_message_says_what_where_and_what_instead(folder):
    path = folder / "new"
    with pytest.raises(ImpurePlan) as caught, planning("files.bad"):
        path.write_text("x")
    assert str(caught.value) == (
        f"plugin 'files.bad' opened {path} for writing while planning; yield a Write change instead"
    )


def test_a_swallowed_violation_is_raised_at_the_end(folder):
    with pytest.raises(ImpurePlan, match="opened"), planning("files.bad") as guard:  # noqa: PT012 - raised where the plan ends
        try:
            (folder / "new").write_text("x")
        except Exception:  # noqa: BLE001 - as careless plugins do
            guard.seen = True
    assert guard.seen
    assert not (folder / "new").exists()


def test_a_violation_outweighs_the_error_that_a_plugin_makes_of_it(folder):
    def plugin():
        try:
            (folder / "new").write_text("x")
        except Exception as error:
            raise TaskFailed("something went wrong") from error

    with pytest.raises(ImpurePlan, match="opened"):
        drive("files.bad", plugin, lambda _change: None)


def harmless(folder):
    (folder / "a").read_bytes()
    os.listdir(folder)
    Path(os.devnull).open("w").close()
    sqlite3.connect(":memory:").close()
    sorted(folder.rglob("*"))
    print("a word", file=sys.stderr)


def test_reading_and_dev_null_are_fine(folder):
    with planning("files.good") as guard:
        harmless(folder)
    assert guard.violations == []


MODULE = """
import os
os.environ["RUNBOOK_TEST_IMPORT"] = "1"
import ctypes
ctypes.CDLL(None)
VALUE = 1
"""


@pytest.mark.parametrize("prefix", [None, "elsewhere"])
def test_importing_is_fine_and_writes_its_bytecode(folder, monkeypatch, prefix):
    (folder / "imported_in_a_plan.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", prefix and str(folder / prefix))
    with planning("files.good") as guard:
        import imported_in_a_plan
    assert imported_in_a_plan.VALUE == 1
    assert guard.violations == []
    assert list(folder.rglob("imported_in_a_plan*.pyc"))
    del sys.modules["imported_in_a_plan"]
    os.environ.pop("RUNBOOK_TEST_IMPORT")


def test_the_first_look_for_the_folder_of_temporaries_is_fine(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    with planning("files.good"):
        assert tempfile.gettempdir()


def test_asking_the_library_about_the_machine_is_fine():
    with planning("files.good"):
        platform._Processor.from_subprocess()
        ctypes.util.find_library("c")


def test_a_lifted_guard_lets_through_and_comes_back(folder):
    with pytest.raises(ImpurePlan), planning("files.bad") as guard:  # noqa: PT012 - raised where the plan ends
        with lifted():
            (folder / "new").write_text("x")
            assert active() is None
        assert active() is guard
        (folder / "new").unlink()
    assert (folder / "new").exists()
    assert active() is None


def test_the_seams_of_the_host_are_open(folder):
    real = LocalHost(now=datetime.now(UTC), cwd=folder, env=dict(os.environ), run_id="r")
    overlay = Overlay(real)
    with planning("files.good"):
        assert overlay.probe(["echo", "x"]).stdout == "x\n"
        assert overlay.read(folder / "a") == b"x"
        assert overlay.facts["cpus"]
        assert overlay.facts["memory"]
        assert overlay.find(folder)


def test_a_thread_is_watched_on_behalf_of_its_plugin(folder):
    told = []

    def work():
        try:
            (folder / "new").write_text("x")
        except ImpurePlan as error:
            told.append(error)

    with pytest.raises(ImpurePlan, match=r"plugin 'files\.bad'"), planning("files.bad"):  # noqa: PT012 - raised where the plan ends
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(told) == 1
    assert not (folder / "new").exists()


def test_a_pool_made_in_a_plan_is_watched_and_one_made_there_by_a_thread_too(folder):
    def nested():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit((folder / "new").write_text, "x").exception()

    with pytest.raises(ImpurePlan), planning("files.bad"), ThreadPoolExecutor(2) as pool:
        assert isinstance(pool.submit(nested).result(), ImpurePlan)
    assert not (folder / "new").exists()


def test_reading_in_threads_and_event_loops_is_fine(folder):
    async def read():
        return await asyncio.to_thread((folder / "a").read_bytes)

    with planning("files.good"):
        assert asyncio.run(read()) == b"x"


def test_threads_of_others_are_not_watched(folder):
    go, done = threading.Event(), threading.Event()

    def work():
        go.wait(5)
        (folder / "theirs").write_text("x")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with planning("files.good"):
        go.set()
        assert done.wait(5)
    thread.join()
    assert (folder / "theirs").exists()


# drive


def test_drive_takes_each_change_as_it_is_yielded(folder):
    taken = []

    def plugin():
        for name in "ab":
            yield MakeFolder(Path("/") / name)
            assert taken[-1].path.name == name
        return {"made": 2}

    def take(change):
        assert active() is None
        (folder / change.path.name).touch()  # the engine may write
        taken.append(change)

    assert drive("files.good", plugin, take) == {"made": 2}
    assert len(taken) == 2


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_drive_takes_other_iterables(kind):
    taken = []
    changes = [MakeFolder(Path("/a")), Write(Path("/b"), b"")]
    assert drive("files.good", lambda: kind(changes), taken.append) is None
    assert taken == changes


def test_drive_takes_one_change_and_gives_back_what_is_none():
    taken = []
    assert drive("files.good", lambda: MakeFolder(Path("/a")), taken.append) is None
    assert taken == [MakeFolder(Path("/a"))]
    assert drive("files.good", lambda: {"size": 1}, taken.append) == {"size": 1}
    assert drive("files.good", lambda: None, taken.append) is None


@pytest.mark.parametrize("result", [lambda: iter(["x"]), lambda: [1]])
def test_drive_refuses_what_is_no_change(result):
    with pytest.raises(TaskFailed, match=r"plugin 'files\.bad' yielded (str|int), which is no change"):
        drive("files.bad", result, lambda _change: None)


def test_every_part_of_a_generator_is_watched(folder):
    path = folder / "new"

    def on_call():
        path.write_text("x")
        return iter(())

    def on_next():
        yield MakeFolder(Path("/a"))
        path.write_text("x")
        yield MakeFolder(Path("/b"))

    def on_close():
        try:
            yield MakeFolder(Path("/a"))
            yield 1
        finally:
            path.write_text("x")

    def swallowed():
        try:
            path.write_text("x")
        except ImpurePlan:
            yield MakeFolder(Path("/a"))

    for plugin in (on_call, on_next, on_close, swallowed):
        with pytest.raises(ImpurePlan, match="opened"):
            drive("files.bad", plugin, lambda _change: None)
        assert not path.exists()


def test_a_generator_is_closed_when_a_change_cannot_be_taken():
    closed = []

    def plugin():
        try:
            yield MakeFolder(Path("/a"))
        finally:
            closed.append(active().plugin)

    def take(change):
        raise TaskFailed("cannot")

    with pytest.raises(TaskFailed, match="cannot"):
        drive("files.good", plugin, take)
    assert closed == ["files.good"]


def test_errors_of_a_plugin_pass_as_they_are():
    with pytest.raises(ZeroDivisionError):
        drive("files.good", lambda: 1 / 0, lambda _change: None)
