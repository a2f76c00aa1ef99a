"""A folder comes into being whole or not at all, as a file does; and what a run knows is there for its tasks."""

import errno
import os
import stat
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from runbook.changes import Produce
from runbook.errors import ImpurePlan, Moved, TaskFailed, Unsure
from runbook.host import LocalHost, Overlay, guard
from runbook.testing import MemoryHost
from runbook.units import Secret

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)


@pytest.fixture
def host(tmp_path):
    return LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="20260310T020000Z-abcd0123", umask=0o027)


def fill(folder):
    (folder / "sub").mkdir()
    (folder / "sub/model.onnx").write_bytes(b"weights")
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    return 2


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_a_folder_is_published_whole_with_modes_of_the_umask(host, tmp_path):
    change = Produce(tmp_path / "made", fill, folder=True)
    change.apply(host)
    host.settle()
    assert change.cell.get() == 2
    assert modes(tmp_path / "made") == {"made": 0o750, "sub": 0o750, "model.onnx": 0o640, "run.sh": 0o750}


@pytest.mark.parametrize("fault", [TaskFailed("no"), OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
def test_one_that_is_refused_leaves_nothing(host, tmp_path, fault):
    def make(folder):
        fill(folder)
        raise fault

    with pytest.raises((TaskFailed, KeyboardInterrupt)):
        host.produce(tmp_path / "made", make, mode=None, was=None, folder=True)
    assert list(tmp_path.iterdir()) == []


def test_a_link_or_a_fifo_in_it_is_refused(host, tmp_path):
    for make in (lambda folder: (folder / "x").symlink_to("/etc/passwd"), lambda folder: os.mkfifo(folder / "x")):
        with pytest.raises(TaskFailed, match="neither a file nor a folder"):
            host.produce(tmp_path / "made", make, mode=None, was=None, folder=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_replaced(host, tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(Moved, match="is there now"):
        host.produce(tmp_path / "made", fill, mode=None, was=None, folder=True)

    def late(folder):
        (tmp_path / "late").mkdir()

    with pytest.raises(Moved, match="is there now"):
        host.produce(tmp_path / "late", late, mode=None, was=None, folder=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "made"]


def test_in_check_it_is_there_and_what_is_in_it_is_not_known(host, tmp_path):
    check = Overlay(host, imagined=True)
    check = check.begin("step 1 'restore'")
    Produce(tmp_path / "made", fill, folder=True).apply(check)
    with pytest.raises(Unsure, match="step 1 'restore'"):
        check.find(tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_in_memory_it_is_filled(tmp_path):
    memory = MemoryHost()
    Produce(memory.cwd / "made", fill, folder=True).apply(memory)
    assert memory.read(memory.cwd / "made/sub/model.onnx") == b"weights"
    assert memory.stat(memory.cwd / "made/run.sh").mode == 0o755


def test_secrets_and_the_meter_are_those_of_the_machine(tmp_path):
    told, known = [], [Secret("0123456789")]
    listener = Mock(progress=lambda *words: told.append(words))
    host = LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="x", listener=listener, secrets=known)
    check = Overlay(Overlay(host))
    known.append(Secret("abcdefghij"))
    assert [secret.reveal() for secret in check.secrets] == ["0123456789", "abcdefghij"]
    advance = check.meter("packing", 100)
    advance(60)
    assert told == []  # one word at most in a tenth of a second


def test_a_plugin_that_makes_it_while_planning_is_refused(host, tmp_path):
    with pytest.raises(ImpurePlan), guard.planning("mine"):
        Overlay(host).produce(tmp_path / "made", fill, mode=None, was=None, folder=True)


def test_progress_may_be_written_down_while_a_plugin_plans(tmp_path, monkeypatch):
    monkeypatch.setattr("runbook.host.progress.EVERY", 0)
    listener = Mock(progress=lambda *_words: (tmp_path / "report").write_text("so far"))
    host = LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="x", listener=listener)
    guard.install()
    with guard.planning("mine"):
        Overlay(host).meter("reading", 100)(10)
    assert (tmp_path / "report").read_text() == "so far"


def test_a_folder_that_cannot_be_listed_is_not_published_unflushed(host, tmp_path, monkeypatch):
    scan = os.scandir

    def failing(path=".", *rest):
        if str(path).endswith("/sub"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scan(path, *rest)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(TaskFailed, match="Input/output error"):
        host.produce(tmp_path / "made", fill, mode=None, was=None, folder=True)
    monkeypatch.undo()
    assert not (tmp_path / "made").exists()
