"""Logs that are rotated while real processes write them at full speed."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import psutil
import pytest

from runbook.engine.rounds import Record, perform
from runbook.errors import TaskFailed
from runbook.host import LocalHost, Overlay
from runbook.host.rotation.claims import claim
from runbook.host.rotation.custody import custody
from runbook.host.rotation.pausing import paused
from runbook.registry import Registry
from runbook.testing.laws import Silent
from tests.writing import archived, everything, numbers, writing

LONG = os.environ.get("RUNBOOK_FAULTS") == "all"
SPEC = Registry().spec("logs.rotate")


def host_of(folder: Path, kind: type[LocalHost] = LocalHost) -> LocalHost:
    return kind(now=datetime.now(UTC), cwd=folder, env=dict(os.environ), run_id="rotation")


def rotate(log: Path, host: LocalHost | None = None, *, keep: int = 10_000, **params) -> dict:
    """Rotate as a run does, and give what is returned; planning and applying and asking again included."""
    record = Record()
    want = SPEC.params.model_validate({"path": str(log), "max_size": "1B", "keep": keep, **params})
    perform(SPEC, want, host or host_of(log.parent), record, Silent())
    return record.data


def foretold(log: Path, **params) -> dict:
    """Give what check mode says."""
    record = Record()
    want = SPEC.params.model_validate({"path": str(log), "max_size": "1B", **params})
    perform(SPEC, want, Overlay(host_of(log.parent), imagined=True), record, Silent())
    return record.data


def collapses(folder: Path) -> bool:
    (folder / "probe").touch()
    found = host_of(folder).custody(folder / "probe").file_system
    (folder / "probe").unlink()
    return found in {"ext4", "xfs"}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "api.log"


def grown(log: Path, size: int = 200_000) -> None:
    """Wait until a writer has written so much."""
    until = time.monotonic() + 20
    while not log.exists() or log.stat().st_size < size:
        assert time.monotonic() < until
        time.sleep(0.002)


WAYS = {
    "collapse": {"method": "collapse"},
    "pause": {"method": "pause"},
    "reopen": {"method": "reopen", "reopen": {"signal": "USR1"}},
    "auto": {},
}


def needed(way: str, folder: Path) -> None:
    if way in {"collapse", "auto"} and not collapses(folder):
        pytest.skip("the file system of the temporary folder cannot collapse: this needs ext4 or xfs")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("width", "rest"), [(120, 0), (9000, 0.0001)], ids=["at full speed", "long lines"])
def test_no_line_of_a_writer_is_lost(log, way, width, rest):
    needed(way, log.parent)
    splits = []
    with writing(log, width=width, hears=way == "reopen", rest=rest) as writer:
        for _ in range(100 if LONG else 10):
            grown(log)
            told = rotate(log, **WAYS[way])
            assert told["rotated"]
            assert told["method"] == (way if way != "auto" else "collapse")
            assert told["loss_possible"] is False
            splits.append(told["split_line"])
        count = writer.stop()
    assert numbers(everything(log)) == list(range(count))
    pieces = archived(log)
    assert len(pieces) == len(splits)
    assert [not piece.endswith(b"\n") for piece in pieces] == splits
    assert way in {"collapse", "auto"} or not any(splits)
    assert clean(log)


def clean(log: Path) -> bool:
    """Say whether nothing unfinished is left."""
    return not [path for path in log.parent.iterdir() if path.suffix in {".rotating", ".runbook-tmp"}]


def test_lines_longer_than_the_blocks_are_split_and_said_to_be(log):
    needed("collapse", log.parent)
    log.write_bytes(b"0 " + b"x" * 20_000 + b"\n" + b"1 " + b"x" * 20_000 + b"\n")
    told = rotate(log, method="collapse")
    assert told["split_line"] is True
    (piece,) = archived(log)
    assert len(piece) == 36_864  # whole blocks of 4096 bytes, but for the last
    assert numbers(everything(log)) == [0, 1]


def test_the_cut_is_at_the_last_block_that_begins_a_line(log):
    needed("collapse", log.parent)
    line = b"x" * 4095 + b"\n"
    log.write_bytes(line * 3 + b"y" * 9000 + b"\n")
    assert rotate(log, method="collapse")["split_line"] is False
    assert archived(log) == [line * 3]
    assert log.read_bytes() == b"y" * 9000 + b"\n"


def test_holes_are_archived_as_they_are_read(log):
    needed("collapse", log.parent)
    with log.open("wb") as file:
        file.truncate(50_000)
        file.seek(50_000)
        file.write(b"end\n")
    content = log.read_bytes()
    rotate(log, method="collapse")
    assert everything(log) == content


def test_copying_and_emptying_says_what_it_may_lose(log):
    with writing(log) as writer:
        for _ in range(5):
            grown(log)
            told = rotate(log, method="copytruncate")
            assert (told["method"], told["loss_possible"]) == ("copytruncate", True)
            assert "between the last copy and the emptying" in told["loss"]
        count = writer.stop()
    text = everything(log)
    kept = [int(line.split()[0]) for line in text.split(b"\n") if line and line.split()[0].isdigit()]
    assert len(kept) > count * 0.9
    assert clean(log)


@pytest.mark.parametrize("method", ["auto", "collapse", "pause"])
def test_a_writer_without_append_is_refused(log, method):
    needed(method, log.parent)
    with writing(log, flags="O_TRUNC", rest=0.001) as writer:
        grown(log, 20_000)
        with pytest.raises(TaskFailed, match=rf"\({writer.pid}\) writes without O_APPEND") as refused:
            rotate(log, method=method)
        with pytest.raises(TaskFailed, match="writes without O_APPEND"):
            foretold(log, method=method)
        assert "copytruncate" in refused.value.hint
        count = writer.stop()
    assert numbers(log.read_bytes()) == list(range(count))
    assert [path.name for path in log.parent.iterdir()] == ["api.log"]


def test_a_writer_without_append_that_is_copied_by_name_leaves_a_hole_and_it_is_said(log):
    with writing(log, flags="O_TRUNC", rest=0.001) as writer:
        grown(log, 20_000)
        told = rotate(log, method="copytruncate")
        assert told["loss_possible"]
        assert f"({writer.pid}) writes without O_APPEND" in told["loss"]
        grown(log, 30_000)
        writer.stop()
    assert log.read_bytes().startswith(b"\0" * 1000)


def test_the_reasons_against_the_other_ways_are_told(log):
    needed("auto", log.parent)
    with writing(log, rest=0.001) as writer:
        grown(log, 20_000)
        before = foretold(log)
        told = rotate(log)
        writer.stop()
    assert told["method"] == before["method"] == "collapse"
    assert told["others"] == before["others"]
    assert told["others"]["rename"].endswith(f"({writer.pid}) has it open")
    assert "no `reopen`" in told["others"]["reopen"]
    assert told["others"]["pause"] == "not needed, as collapse can do it"
    assert "asked for by name" in told["others"]["copytruncate"]


def test_a_small_log_that_is_written_waits_until_it_has_grown_if_it_can_only_be_collapsed(log):
    """Its writer is above the run, as a shell is that runs it with its output in the log: it cannot be stopped."""
    needed("collapse", log.parent)
    with log.open("ab") as own:
        own.write(b"line\n")
        own.flush()
        told = rotate(log)
        assert told["rotated"] is False
        assert "no larger than a block" in told["reason"]
        assert "may not be stopped" in told["others"]["pause"]
        own.write(b"line\n" * 2000)
        own.flush()
        assert rotate(log)["method"] == "collapse"
    assert everything(log) == b"line\n" * 2001


def test_nothing_is_left_to_do_though_the_writer_goes_on(log):
    with writing(log, hears=True) as writer:
        grown(log)
        host = host_of(log.parent)
        assert rotate(log, host)["rotated"]
        grown(log)
        again = rotate(log, host)
        assert (again["rotated"], again["reason"]) == (False, "it has been rotated by this run")
        assert rotate(log)["rotated"], "the next run does it again"
        writer.stop()


def test_check_mode_writes_nothing(log):
    with writing(log, rest=0.001):
        grown(log, 20_000)
        inode = log.stat().st_ino
        told = foretold(log)
        assert told["rotated"]
        assert [path.name for path in log.parent.iterdir()] == ["api.log"]
        assert log.stat().st_ino == inode


# Telling the writers


def test_a_writer_that_does_not_open_it_anew(log):
    """Nothing is lost, the next run goes on, and one that ends in between has let go as well."""
    with writing(log, hears=True, rest=0.0005) as writer:
        grown(log, 20_000)
        with log.open("ab") as out:
            sleeper = subprocess.Popen(["sleep", "60"], stdout=out)
        try:
            reopen = {"signal": "USR1", "process": "python3", "timeout": "200ms"}
            reopen["process"] = psutil.Process(writer.pid).name()
            with pytest.raises(TaskFailed, match=r"sleep \(\d+\) did not open .* anew") as failed:
                rotate(log, reopen=reopen)
            assert "nothing is lost" in failed.value.hint
            assert len(list(log.parent.glob("*.rotating"))) == 1
            with pytest.raises(TaskFailed, match="did not open"):
                rotate(log, reopen=reopen)
        finally:
            sleeper.kill()
            sleeper.wait()
        assert rotate(log, reopen=reopen)["rotated"]
        count = writer.stop()
    assert numbers(everything(log)) == list(range(count))
    assert clean(log)


def test_a_signal_that_would_end_the_writer_is_not_sent(log):
    with writing(log, rest=0.001) as writer:
        grown(log, 20_000)
        with pytest.raises(TaskFailed, match="has no handler for SIGUSR1, and would be ended by it"):
            rotate(log, reopen={"signal": "USR1"})
        assert [path.name for path in log.parent.iterdir()] == ["api.log"]
        count = writer.stop()
    assert numbers(log.read_bytes()) == list(range(count))


def test_the_process_of_a_pid_file_gets_the_signal(log):
    pid_file = log.with_name("api.pid")
    reopen = {"signal": "sigusr1", "pid_file": str(pid_file)}
    with writing(log, hears=True, rest=0.0005) as writer:
        grown(log, 20_000)
        for text, error in [
            (None, "there is no .*api.pid"),
            ("", "no process id"),
            ("999999999", "there is no process"),
        ]:
            if text is not None:
                pid_file.write_text(text)
            with pytest.raises(TaskFailed, match=error):
                rotate(log, reopen=reopen)
        pid_file.write_text(f"{writer.pid}\n")
        assert rotate(log, reopen=reopen)["method"] == "reopen"
        count = writer.stop()
    assert numbers(everything(log)) == list(range(count))
    assert rotate(log, reopen=reopen)["method"] == "rename", "the service is down: there is nobody to tell"


@pytest.mark.parametrize("status", [204, 500])
def test_a_server_is_asked_with_a_secret_header(log, status):
    from runbook.units import Secret

    with writing(log, hears=True, rest=0.0005) as writer:

        class Reopening(BaseHTTPRequestHandler):
            def do_PUT(self):
                heard.append(self.headers["X-Key"])
                os.kill(writer.pid, 10)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        heard = []
        server = HTTPServer(("127.0.0.1", 0), Reopening)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            grown(log, 20_000)
            url = f"http://127.0.0.1:{server.server_port}/logs/reopen"
            reopen = {"url": url, "method": "PUT", "headers": {"X-Key": Secret("hunter2hunter2")}}
            if status == 204:
                assert rotate(log, reopen=reopen)["method"] == "reopen"
            else:
                with pytest.raises(TaskFailed, match=f"{url} answered 500") as failed:
                    rotate(log, reopen=reopen)
                assert "hunter2" not in str(failed.value)
        finally:
            server.shutdown()
            server.server_close()
        count = writer.stop()
    assert heard == ["hunter2hunter2"]
    rotate(log)
    assert numbers(everything(log)) == list(range(count))


# Others who do something at the same time


class Disturbed(LocalHost):
    """A machine on which something happens between plan and apply."""

    happening = staticmethod(lambda: None)

    def rotate(self, rotation):
        happening, self.happening = self.happening, lambda: None
        happening()
        return super().rotate(rotation)


@pytest.mark.parametrize("method", ["auto", "copytruncate", "pause", "collapse"])
@pytest.mark.parametrize("fate", ["vanishes", "is emptied", "is replaced", "becomes a link", "gets a second name"])
def test_a_log_that_changes_between_plan_and_apply(log, method, fate):
    needed(method if method == "collapse" else "", log.parent)
    log.write_bytes(b"line\n" * 2000)
    other = log.with_name("other")
    other.write_bytes(b"another's\n" * 2000)
    host = host_of(log.parent, Disturbed)

    def link():
        log.unlink()
        log.symlink_to(other)

    fates = {
        "vanishes": log.unlink,
        "is emptied": lambda: os.truncate(log, 0),
        "is replaced": lambda: os.rename(other, log),
        "becomes a link": link,
        "gets a second name": lambda: os.link(log, log.with_name("second")),
    }
    host.happening = fates[fate]
    if fate == "is replaced":
        rotate(log, host, method=method)
        assert everything(log) == b"another's\n" * 2000
    elif fate == "is emptied":
        assert rotate(log, host, method=method)["rotated"]  # as it was first planned
        assert archived(log) == []
    else:
        with pytest.raises(TaskFailed, match=r"there is no log|symbolic link|2 names"):
            rotate(log, host, method=method)
        assert other.read_bytes() == b"another's\n" * 2000
    assert clean(log)


def test_a_writer_without_append_that_comes_between_plan_and_apply(log):
    needed("collapse", log.parent)
    log.write_bytes(b"line\n" * 2000)
    host = host_of(log.parent, Disturbed)
    with log.open("r+b") as other:
        os.lseek(other.fileno(), 0, os.SEEK_END)
        host.happening = lambda: None
        with pytest.raises(TaskFailed, match="writes without O_APPEND"):
            rotate(log, host, method="collapse")
    assert log.read_bytes() == b"line\n" * 2000


@pytest.mark.parametrize("method", ["auto", "collapse", "copytruncate"])
def test_one_run_at_a_time(log, method):
    """Whatever locks the runs have: those of two state folders do not know of each other."""
    needed(method, log.parent)
    log.write_bytes(b"line\n" * 2000)
    host = host_of(log.parent, Disturbed)
    with log.open("ab") as other:
        host.happening = lambda: claim(other.fileno())
        with pytest.raises(TaskFailed, match="being rotated by another run"):
            rotate(log, host, method=method)
        with pytest.raises(TaskFailed, match="being rotated by another run"):
            foretold(log, method=method)
        log.with_name("api.log.20260101.gz.rotating").write_bytes(b"what the other run has made so far")
        with pytest.raises(TaskFailed, match="being rotated by another run"):
            rotate(log, method=method)
    assert log.read_bytes() == b"line\n" * 2000
    assert not list(log.parent.glob("*.gz"))


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_a_run_that_was_started_without_standard_files(log, closed):
    """Descriptors 0 to 2 are free then: the log or its archive must not be what somebody prints into."""
    log.write_bytes(b"line\n" * 10_000)
    steps = [{"logs.rotate": {"path": str(log), "max_size": "1B"}}]
    (log.parent / "play.yml").write_text(json.dumps([{"hosts": "localhost", "steps": steps}]))
    command = [sys.executable, "-m", "runbook", "play", "play.yml", "--state-dir", "state"]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], cwd=log.parent, check=False, timeout=60)
    assert done.returncode == 0
    assert log.read_bytes() == b""
    assert archived(log) == [b"line\n" * 10_000]


def test_names_that_are_no_utf8(tmp_path):
    log = tmp_path / os.fsdecode(b"caf\xe9\n'\"\xff.log")
    log.write_bytes(b"0 \n")
    assert rotate(log)["method"] == "rename"
    assert archived(log) == [b"0 \n"]


def test_a_name_too_long_for_its_archives(tmp_path):
    with pytest.raises(ValueError, match="its archives' are longer"):
        rotate(tmp_path / ("x" * 240))
    log = tmp_path / ("x" * 226)
    log.write_bytes(b"line\n")
    assert rotate(log)["rotated"]
    assert archived(log) == [b"line\n"]


def test_an_archive_of_times_to_come_keeps_no_log_young(log):
    log.write_bytes(b"line\n")
    old = time.time() - 8 * 86400
    os.utime(log, (old, old))
    later = log.with_name("api.log.20990101.gz")
    later.write_bytes(b"")
    os.utime(later, (old + 10**9, old + 10**9))
    spec = SPEC.params.model_validate({"path": str(log), "max_age": "7d"})
    record = Record()
    perform(SPEC, spec, host_of(log.parent), record, Silent())
    assert record.data["rotated"]


def test_the_mode_stays(log):
    log.write_bytes(b"line\n")
    log.chmod(0o640)
    rotate(log)
    assert log.stat().st_mode & 0o777 == 0o640
    assert next(log.parent.glob("*.gz")).stat().st_mode & 0o777 == 0o640


# Rights


def as_nobody(call) -> str:
    """Call a function in a process of another user, and give what it says."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            said = str(call())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = f"{type(error).__name__}: {error}"
        os.write(writable, said.encode())
        os._exit(0)
    os.close(writable)
    os.waitpid(child, 0)
    with open(readable, "rb") as file:
        return file.read().decode()


@pytest.fixture
def theirs():
    """A folder that everybody may write, since a test's own is for its user alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_a_log_that_another_user_may_be_writing(theirs):
    log = theirs / "api.log"
    with writing(log, rest=0.001):
        grown(log, 20_000)
        log.chmod(0o666)
        said = as_nobody(lambda: rotate(log))
        assert "no way to rotate" in said
        assert "processes of another user that may write it cannot be looked into" in said
        assert "run it as root" in said
        assert [path.name for path in theirs.iterdir()] == ["api.log"]


def test_an_own_log_of_another_user(theirs):
    log = theirs / "own.log"
    log.write_bytes(b"line\n")
    os.chown(log, 65534, 65534)
    assert "'method': 'rename'" in as_nobody(lambda: rotate(log))
    assert log.stat().st_uid == 65534


def test_a_folder_that_may_not_be_written(theirs):
    log = theirs / "own.log"
    log.write_bytes(b"line\n")
    os.chown(log, 65534, 65534)
    theirs.chmod(0o755)
    for call in (lambda: rotate(log), lambda: foretold(log), lambda: rotate(log, method="copytruncate")):
        assert "Permission denied" in as_nobody(call)
    assert log.read_bytes() == b"line\n"


def test_root_gives_the_new_log_to_its_owner(theirs):
    log = theirs / "own.log"
    log.write_bytes(b"line\n")
    os.chown(log, 65534, 65534)
    rotate(log)
    assert (log.stat().st_uid, log.stat().st_gid, log.stat().st_size) == (65534, 65534, 0)


# Pausing

PAUSED = """
import sys, time
from pathlib import Path
from runbook.host.rotation.custody import custody
from runbook.host.rotation.pausing import paused
with paused(lambda: custody(Path(sys.argv[1]))):
    print("paused", flush=True)
    time.sleep(60)
"""


def test_writers_go_on_if_the_run_is_killed_while_they_are_paused(log):
    with writing(log, rest=0.001) as writer:
        run = subprocess.Popen([sys.executable, "-c", PAUSED, log], stdout=subprocess.PIPE)
        assert run.stdout.readline() == b"paused\n"
        assert psutil.Process(writer.pid).status() == psutil.STATUS_STOPPED
        run.kill()
        run.communicate()
        until = time.monotonic() + 10
        while psutil.Process(writer.pid).status() == psutil.STATUS_STOPPED:
            assert time.monotonic() < until
            time.sleep(0.01)
        writer.stop()


def test_writers_go_on_if_the_run_is_interrupted_while_they_are_paused(log):
    with writing(log, rest=0.001) as writer:
        process = psutil.Process(writer.pid)
        with suppress(KeyboardInterrupt), paused(lambda: custody(log)):
            assert process.status() == psutil.STATUS_STOPPED
            raise KeyboardInterrupt
        assert process.status() != psutil.STATUS_STOPPED
        writer.stop()


def test_for_how_long_the_writers_were_stopped_is_said(log):
    with writing(log, rest=0.001):
        grown(log, 20_000)
        assert 0 < rotate(log, method="pause")["paused_ms"] < 2000


def test_a_writer_that_somebody_else_has_stopped_stays_stopped(log):
    with writing(log, rest=0.001) as writer:
        grown(log, 20_000)
        process = psutil.Process(writer.pid)
        process.suspend()
        assert rotate(log, method="pause")["rotated"]
        assert process.status() == psutil.STATUS_STOPPED
        process.resume()
        count = writer.stop()
    assert numbers(everything(log)) == list(range(count))
