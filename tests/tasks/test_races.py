"""What happens to files between plan and apply, and names that no YAML can hold."""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.engine.rounds import Record, perform
from runbook.errors import Moved, TaskFailed
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.testing import Case, run_case
from runbook.testing.laws import Silent

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
DAY = 86400
ODD = os.fsdecode(b"/exp/logs/caf\xe9\xff.out")


class Busy(LocalHost):
    """A machine on which something happens right before or after the first change of a kind."""

    def __init__(self, folder: Path) -> None:
        super().__init__(now=NOW, cwd=folder, env={}, run_id="races")
        self.before = self.after = lambda: None

    def compress(self, path, to, **how):
        self._happen("before")
        super().compress(path, to, **how)
        self._happen("after")

    def remove(self, path, **how):
        self._happen("before")
        super().remove(path, **how)

    def _happen(self, name):
        happening = getattr(self, name)
        setattr(self, name, lambda: None)
        happening()


def put(path: Path, days: float, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (0, NOW.timestamp() - days * DAY))
    return path


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def played(host, task: str, **params) -> Record:
    spec = Registry().spec(task)
    record = Record()
    perform(spec, spec.params.model_validate(params), host, record, Silent())
    return record


def test_a_log_that_grows_before_it_is_compressed_stays_whole(tmp_path):
    log, host = put(tmp_path / "a.out", 8, b"old\n"), Busy(tmp_path)
    host.before = lambda: append(log, b"new\n")
    record = played(host, "logs.archive", directory=str(tmp_path))
    assert log.read_bytes() == b"old\nnew\n"
    assert [change["kind"] for change in record.changes if change["applied"]] == ["make folder"]
    assert list((tmp_path / "archive").iterdir()) == []


def test_a_log_that_grows_after_it_is_compressed_loses_no_line(tmp_path):
    log, host = put(tmp_path / "a.out", 8, b"old\n"), Busy(tmp_path)
    host.after = lambda: append(log, b"new\n")
    played(host, "logs.archive", directory=str(tmp_path))
    assert log.read_bytes() == b"old\nnew\n"
    assert gzip.decompress((tmp_path / "archive/a.out.gz").read_bytes()) == b"old\n"
    os.utime(log, (0, NOW.timestamp() - 7 * DAY))  # days later
    played(host, "logs.archive", directory=str(tmp_path))
    assert gzip.decompress((tmp_path / "archive/a.out.1.gz").read_bytes()) == b"old\nnew\n"
    assert not log.exists()


def test_a_log_that_vanishes(tmp_path):
    log, host = put(tmp_path / "a.out", 8, b"old\n"), Busy(tmp_path)
    host.before = log.unlink
    played(host, "logs.archive", directory=str(tmp_path))
    assert list((tmp_path / "archive").iterdir()) == []


def test_an_archive_that_appears_is_not_overwritten(tmp_path):
    log, host = put(tmp_path / "a.out", 8, b"old\n"), Busy(tmp_path)
    host.before = lambda: (tmp_path / "archive/a.out.gz").write_bytes(b"another's")
    played(host, "logs.archive", directory=str(tmp_path))
    assert (tmp_path / "archive/a.out.gz").read_bytes() == b"another's"
    assert gzip.decompress((tmp_path / "archive/a.out.1.gz").read_bytes()) == b"old\n"
    assert not log.exists()


def test_a_log_that_becomes_a_link(tmp_path):
    log, host = put(tmp_path / "a.out", 8, b"old\n"), Busy(tmp_path)
    theirs = put(tmp_path / "theirs.txt", 8, b"theirs\n")

    def swap():
        log.unlink()
        log.symlink_to(theirs)

    host.before = swap
    played(host, "logs.archive", directory=str(tmp_path))
    assert (log.readlink(), theirs.read_bytes()) == (theirs, b"theirs\n")
    assert list((tmp_path / "archive").iterdir()) == []


def test_a_checkpoint_that_is_written_anew_stays(tmp_path):
    old, host = put(tmp_path / "last_1.pt", 20, b"old"), Busy(tmp_path)
    put(tmp_path / "last_2.pt", 20, b"old")
    host.before = lambda: old.write_bytes(b"just saved")
    played(host, "files.prune", directory=str(tmp_path), pattern="last_*.pt", older_than="14d")
    assert [path.name for path in tmp_path.iterdir()] == ["last_1.pt"]
    assert old.read_bytes() == b"just saved"


def test_what_comes_into_a_folder_that_is_being_removed_is_not_lost(tmp_path):
    put(tmp_path / "old/a", 20, b"old")
    host = Busy(tmp_path)
    host.before = lambda: put(tmp_path / "old/b", 0, b"new")
    with pytest.raises(TaskFailed, match="not empty"):
        played(host, "files.absent", path=str(tmp_path / "old"))
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["b"]


def test_a_world_that_never_rests_is_an_error(tmp_path):
    log, host = put(tmp_path / "a.out", 8, b"old\n"), Busy(tmp_path)

    def again():
        append(log, b"x")
        os.utime(log, (0, NOW.timestamp() - 8 * DAY))
        host.before = again

    host.before = again
    with pytest.raises(TaskFailed):
        played(host, "logs.archive", directory=str(tmp_path))
    assert log.exists()


@pytest.mark.parametrize("real", [False, True])
def test_names_that_are_no_utf8(real, tmp_path):
    archived = Case.model_validate(
        {
            "task": "logs.archive",
            "params": {"directory": "/exp/logs"},
            "before": {ODD: {"content": "log", "age": "8d"}, "/exp/logs/archive": {"folder": True}},
            "changes": [{"kind": "compress", "target": ODD}, {"kind": "remove", "target": ODD}],
            "after": {ODD.replace("logs/", "logs/archive/") + ".gz": {"gzip": "log", "age": "8d"}},
        }
    )
    assert run_case(archived, tmp_path / "a" if real and not (tmp_path / "a").mkdir() else None) == []
    pruned = Case.model_validate(
        {
            "task": "files.prune",
            "params": {"directory": "/exp/logs", "pattern": "caf*", "older_than": "1d"},
            "before": {ODD: {"content": "log", "age": "8d"}},
            "changes": [{"kind": "remove", "target": ODD}],
            "after": {"/exp/logs": {"folder": True}},
            "returns": {"removed": [ODD]},
        }
    )
    assert run_case(pruned, tmp_path / "b" if real and not (tmp_path / "b").mkdir() else None) == []


def test_a_large_log_and_a_large_file(tmp_path):
    """More than the megabyte up to which a change holds its content."""
    content = os.urandom(64) * 40_000
    put(tmp_path / "logs/a.out", 8, content)
    host = Busy(tmp_path)
    host.after = lambda: (_ for _ in ()).throw(Moved("as if killed between the two"))
    record = played(host, "logs.archive", directory=str(tmp_path / "logs"))
    assert [change["kind"] for change in record.changes if change["applied"]] == ["make folder", "remove"]
    stored = tmp_path / "logs/archive/a.out.gz"
    assert gzip.decompress(stored.read_bytes()) == content
    assert os.listdir(stored.parent) == ["a.out.gz"]
    source = put(tmp_path / "big", 8, content)
    record = played(host, "files.copy", src=str(source), dest=str(tmp_path / "copy"), mode="0600")
    assert (tmp_path / "copy").read_bytes() == content
    assert record.changes[0]["diff"] is None
    assert played(host, "files.copy", src=str(source), dest=str(tmp_path / "copy")).changes == []
    source.write_bytes(content[:-1] + b"!")
    assert len(played(host, "files.copy", src=str(source), dest=str(tmp_path / "copy")).changes) == 1
    assert (tmp_path / "copy").read_bytes()[-1:] == b"!"


def test_secrets_stay_secret(tmp_path):
    from runbook.units import Secret

    host = Busy(tmp_path)
    record = played(host, "files.present", path=str(tmp_path / "key"), content=Secret("hunter2hunter2"), mode="0600")
    assert (tmp_path / "key").read_text() == "hunter2hunter2"
    assert record.changes[0]["diff"] is None
    assert "hunter2" not in str(record)
    record = played(host, "files.present", path=str(tmp_path / "key"), content=Secret("hunter3hunter3"))
    assert "hunter" not in str(record)
    assert (tmp_path / "key").read_text() == "hunter3hunter3"
