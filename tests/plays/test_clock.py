"""Ages at the changes of the clock: a day is 24 hours, and a file from the future is never old."""

import json
import os
import shutil
import subprocess

import pytest
import yaml

from tests.unit.playing import COMMAND

pytestmark = pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
DAY = 86400
STEPS = [
    {"logs.archive": {"directory": "logs", "compress_after": "7d", "delete_after": "30d"}},
    {"files.prune": {"directory": "checkpoints", "pattern": "last_*.pt", "older_than": "14d"}},
]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-29 01:59:30",  # half a minute before 02:00 becomes 03:00
        "2026-03-29 03:00:30",
        "2026-04-02 02:30:00",  # the time of day that was left out falls within the seven days
        "2026-10-25 02:30:00",  # there are two of these
        "2026-10-25 03:00:30",
        "2026-10-30 02:30:00",
        "2021-01-01 00:00:00",  # a clock that lost its battery
    ],
)
def test_ages_are_counted_in_hours_whatever_the_clock_on_the_wall_does(tmp_path, moment):
    env = {**os.environ, "TZ": "Europe/Berlin", "NO_FAKE_STAT": "1", "FAKETIME_DONT_RESET": "1"}
    faked = ["faketime", "-f", f"@{moment}"]
    now = int(subprocess.run([*faked, "date", "+%s"], env=env, check=True, capture_output=True, text=True).stdout)
    ages = {
        "logs/young.out": 7 * DAY - 600,
        "logs/old.out": 7 * DAY + 60,
        "logs/older.out": 30 * DAY + 60,
        "logs/future.out": -400 * DAY,
        "checkpoints/last_young.pt": 14 * DAY - 600,
        "checkpoints/last_old.pt": 14 * DAY + 60,
        "checkpoints/last_future.pt": -400 * DAY,
    }
    for name, age in ages.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x\n")
        os.utime(file, (now - age, now - age))
    (tmp_path / "book.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "steps": STEPS}]))
    argv = [*faked, *COMMAND, "play", "book.yml", "--state-dir", "state", "--report", "report.json"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    left = {
        str(path.relative_to(tmp_path)) for name in ("logs", "checkpoints") for path in (tmp_path / name).rglob("*.*")
    }
    assert left == {
        "logs/young.out",
        "logs/archive/old.out.gz",
        "logs/future.out",
        "checkpoints/last_young.pt",
        "checkpoints/last_future.pt",
    }
    assert (tmp_path / "logs/archive/old.out.gz").stat().st_mtime == now - ages["logs/old.out"]
    assert 0 <= json.loads((tmp_path / "report.json").read_text())["duration_s"] < 60
