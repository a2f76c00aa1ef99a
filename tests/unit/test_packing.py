"""gzip archives are whole whatever their size, the same each time, and their threads end with what they were for."""

import gzip
import os
import threading

import pytest

from runbook.errors import Moved
from runbook.host.files.packing import MEMBER, Compressor, feed, packing

LINE = b"2026-03-10T02:00:00Z INFO a line of a log that says the same as all the others\n"


def lines(size):
    return (LINE * (size // len(LINE) + 1))[:size]


def compressing():
    return [each.name for each in threading.enumerate() if each.name.startswith("compress")]


@pytest.fixture
def log(tmp_path):
    def made(size):
        (tmp_path / "a.log").write_bytes(lines(size))
        return os.open(tmp_path / "a.log", os.O_RDONLY)

    return made


@pytest.fixture
def out(tmp_path):
    descriptor = os.open(tmp_path / "a.log.gz", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, MEMBER - 1, MEMBER, MEMBER + 1, 9 * MEMBER + 77])
def test_all_of_it_is_there_in_its_order(log, out, tmp_path, size):
    told = []
    with packing(out, 2) as archive:
        assert feed(archive, log(size), 0, size, told.append) == size
    packed = (tmp_path / "a.log.gz").read_bytes()
    assert gzip.decompress(packed) == lines(size)
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # neither a name nor a time
    assert sum(told) == size


def test_what_is_large_is_compressed_by_threads_that_end_with_it(log, out):
    seen = []
    with packing(out, 2) as archive:
        feed(archive, log(4 * MEMBER), 0, 4 * MEMBER, lambda _: seen.append(len(compressing())))
    assert max(seen) >= 1
    assert compressing() == []


def test_what_is_small_needs_no_thread(log, out, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail(f"{self.name} was started"))
    with packing(out, 2) as archive:
        feed(archive, log(MEMBER - 1), 0, MEMBER - 1, lambda _: None)
    assert compressing() == []


def test_only_its_own_thread_reads_and_writes():
    """What a fault test stops at a system call of the main thread is all that is done to files."""

    class Told:
        def write(self, data):
            writers.add(threading.get_ident())

    writers = set()
    with Compressor(Told(), 2) as archive:
        for _ in range(20):
            archive.write(lines(MEMBER))
    assert writers == {threading.get_ident()}


def test_no_more_than_a_few_pieces_wait_in_memory():
    class Told:
        def write(self, data):
            written.append(len(data))

    written = []
    with Compressor(Told(), 0) as archive:
        for number in range(1, 21):
            archive.write(lines(MEMBER))
            assert number - len(written) <= 6


@pytest.mark.parametrize("what", [KeyboardInterrupt, TimeoutError])
def test_cut_short_it_ends_at_once_and_leaves_no_thread(log, out, what):
    def meter(_):
        if len(pieces := [*seen, 1]) == 5:
            raise what
        seen[:] = pieces

    seen = []
    with pytest.raises(what), packing(out, 3) as archive:
        feed(archive, log(40 * MEMBER), 0, 40 * MEMBER, meter)
    assert len(seen) == 4
    assert compressing() == []


def test_a_full_disk_is_told_as_such_and_leaves_no_thread(log):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"), packing(full, 0) as archive:
        feed(archive, log(20 * MEMBER), 0, 20 * MEMBER, lambda _: None)
    os.close(full)
    assert compressing() == []


def test_a_log_that_gets_shorter_meanwhile_is_no_archive(log, out):
    with pytest.raises(Moved, match="emptied while it was archived"), packing(out, 2) as archive:
        feed(archive, log(3 * MEMBER), 0, 4 * MEMBER, lambda _: None)
    assert compressing() == []
