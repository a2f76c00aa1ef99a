"""Archiving logs where files are damaged in ways that a case cannot write down."""

import gzip
import os
from datetime import UTC, datetime

import pytest

from runbook.host import LocalHost
from runbook.tasks.logs import Archive, archive

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)


@pytest.mark.parametrize("cut", [slice(0, 12), slice(0, 40), slice(0, -4)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_damaged_archive_of_the_same_time_is_no_archive_of_the_log(tmp_path, cut, flip):
    log, store = tmp_path / "api.out", tmp_path / "archive"
    store.mkdir()
    log.write_bytes(b"a line of a log\n" * 200 + os.urandom(100))
    packed = bytearray(gzip.compress(log.read_bytes(), mtime=0)[cut])
    if flip:
        packed[10:] = bytes(byte ^ 0xFF for byte in packed[10:])
    (store / "api.out.gz").write_bytes(packed)
    for path in (log, store / "api.out.gz"):
        os.utime(path, (NOW.timestamp() - 10 * 86400,) * 2)
    host = LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="archive")
    planned = [(change.kind, change.to_json()["detail"]) for change in archive(Archive(directory=tmp_path), host)]
    assert [kind for kind, _ in planned] == ["compress", "remove"]
    assert "api.out.1.gz" in planned[0][1]
