"""Logs read for errors: large ones, strange ones, times of every kind."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from runbook.errors import TaskFailed, TimedOut
from runbook.host import LocalHost
from runbook.tasks.logs import Scan, scan
from runbook.tasks.scanning.entries import seek_time
from runbook.tasks.scanning.times import time_in, time_of

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
AT = datetime(2026, 3, 10, 1, 2, 3, tzinfo=UTC).timestamp()


def scanned(path, **params):
    host = LocalHost(now=NOW, cwd=path.parent, env={}, run_id="scan")
    if path.exists():
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return scan(Scan.model_validate({"path": path, **params}), host)


@pytest.mark.parametrize(
    "line",
    [
        "2026-03-10T01:02:03Z x",
        "2026-03-10T01:02:03.456Z x",
        "2026-03-10 01:02:03,456+00:00 x",
        "[2026-03-10 03:02:03 +0200] x",
        "INFO 2026/03/10 01:02:03Z x",
        '10.0.0.1 - - [10/Mar/2026:01:02:03 +0000] "GET /"',
        "10.0.0.1 - - [09/Mar/2026:20:02:03 -0500] x",
    ],
)
def test_times_of_plain_lines(line):
    assert time_in(line.encode()) == AT


def test_a_time_without_a_zone_is_local(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        assert time_in(b"2026-03-10 04:02:03,1 x") == AT
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "line", ["", "no time", "2026-13-10T01:02:03Z", "x" * 100 + "2026-03-10T01:02:03Z", "99/Xyz/2026:01:02:03 +0000"]
)
def test_lines_without_a_time(line):
    assert time_in(line.encode()) is None


@pytest.mark.parametrize("said", [AT, int(AT * 1000), AT * 1e6, "2026-03-10T01:02:03Z"])
def test_times_of_structured_lines(said):
    assert time_of({"ts": said}) == pytest.approx(AT)


@pytest.mark.parametrize("said", [None, True, "soon", -1, 1e300, float("nan"), [], 0])
def test_structured_lines_without_a_time(said):
    assert time_of({"time": said}) is None


def large(path, size, errors):
    """Write a log of about `size` bytes over ten days, one error every `errors` lines; give how many of the last day."""
    lines = size // 100
    began, step = NOW - timedelta(days=10), timedelta(days=10) / lines
    count = 0
    with path.open("wb") as log:
        for number in range(lines):
            at = began + step * number
            bad = number % errors == 0
            count += bad and at.replace(microsecond=0) >= NOW - timedelta(days=1)
            text = f"{at:%Y-%m-%dT%H:%M:%S}Z {'ERROR' if bad else 'INFO'} request {number} "
            log.write(text.encode().ljust(99, b".") + b"\n")
    return count


def test_of_a_large_log_only_the_part_that_matters_is_read(tmp_path):
    log = tmp_path / "api.out"
    count = large(log, 20_000_000, 1000)
    found = scanned(log)
    assert found["errors"] == count
    assert 19_000 < found["entries"] < 21_000
    (kind,) = found["samples"]
    assert kind["count"] == count
    with log.open("rb") as file:
        seek_time(file, log.stat().st_size, (NOW - timedelta(days=1)).timestamp())
        assert 0 <= log.stat().st_size * 0.9 - file.tell() < 600_000


def test_what_is_more_than_the_limit_is_told(tmp_path):
    log = tmp_path / "api.out"
    large(log, 3_000_000, 10)
    found = scanned(log, limit="100kB")
    assert found["cut"] == [str(log)]
    assert 990 <= found["entries"] <= 1000


def test_a_large_log_without_times_is_read_from_its_end(tmp_path):
    log = tmp_path / "api.err"
    log.write_bytes(b"ERROR of old\n" * 100_000 + b"fine\n" * 100_000)
    found = scanned(log, limit="400kB")
    assert (found["errors"], found["cut"]) == (0, [str(log)])
    assert scanned(log)["errors"] == 100_000


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        (b"", 0),
        (b"\n\n\n", 0),
        (b"\x00" * 200_000, 0),
        (b"\xff\xfe ERROR \xff\n", 1),
        (b"ERROR without an end", 1),
        (b"ERROR " + b"x" * 1_000_000 + b" ERROR\n", 1),
        (b'{"level": "ERROR"}\n', 1),
        (b'{"levelname": "critical", "msg": 7}\n', 1),
        (b'{"severity": 40}\n{"severity": 30}\n', 1),
        (b'{"level": "warning", "msg": "ERROR"}\n', 0),
        (b'{"msg": "ERROR without a level"}\n', 1),
        (b'{"level": {"a": 1}, "msg": "x"}\n[1]\n{broken ERROR}\n', 1),
        (b"ERRORS are no ERROR_CODE, nor TERROR\n", 0),
        (b"Traceback (most recent call last):\n  File x\nKeyError: 1\n", 1),
        (b"{" * 5000 + b"}\n", 0),
    ],
)
def test_what_counts(tmp_path, content, errors):
    log = tmp_path / "x.log"
    log.write_bytes(content)
    assert scanned(log)["errors"] == errors


def test_a_long_entry_is_cut_between_words(tmp_path):
    log = tmp_path / "x.log"
    log.write_text(f"ERROR one two {'k' * 400}\n")
    assert scanned(log)["samples"][0]["text"] == "ERROR one two ..."


def test_what_is_no_file_or_cannot_be_read(tmp_path):
    with pytest.raises(TaskFailed, match="there is no log"):
        scanned(tmp_path / "none.log")
    (tmp_path / "folder").mkdir()
    with pytest.raises(TaskFailed, match="Is a directory"):
        scanned(tmp_path / "folder")
    damaged = tmp_path / "x.gz"
    damaged.write_bytes(b"\x1f\x8b\x08 nothing of the kind")
    with pytest.raises(TaskFailed, match="cannot be unpacked"):
        scanned(damaged)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(TaskFailed, match="no regular file"):
        scanned(pipe)


def test_names_with_a_line_break_stay_on_one_line(tmp_path):
    log = tmp_path / "a\nb.log"
    log.write_text("ERROR x\n")
    with pytest.raises(TaskFailed) as caught:
        scanned(log, max=0)
    assert "\n" not in caught.value.message
    assert json.dumps(caught.value.data)


def test_the_steps_time_bounds_it(tmp_path):
    log = tmp_path / "x.log"
    log.write_bytes(b"fine\n" * 10_000)
    host = LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="scan")
    host = host.begin("scan", deadline=0.0)
    with pytest.raises(TimedOut):
        scan(Scan(paths=(log,)), host)
