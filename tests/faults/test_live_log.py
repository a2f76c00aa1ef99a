"""A run that is killed while it rotates a log under its writer: no line is lost or doubled, and the writer goes on."""

import re
import time
from itertools import pairwise

import psutil
import pytest

from runbook.host.rotation.custody import custody
from tests.faults.sandbox import Point, Sandbox
from tests.faults.sweep import spread
from tests.writing import everything, numbers, writing

pytestmark = pytest.mark.fault

PLAY = """
- hosts: localhost
  inputs: {{exp_dir: {{type: path, required: true}}}}
  steps:
    - logs.rotate: {{path: "{{{{ exp_dir }}}}/api.log", max_size: 1kB, method: {method}{more}}}
      register: rotated
    - assert: {{that: "rotated.doubled == []"}}
"""
FLUSHES = [Point("fsync", number) for number in range(2, 12)]
NAMES = [Point("renameat2", number) for number in range(1, 4)]
POINTS = {
    "collapse": [Point("fallocate", 1), *NAMES, *FLUSHES],
    "pause": [Point("ftruncate", 1), *NAMES, *FLUSHES],
    "copytruncate": [Point("ftruncate", 1), *NAMES, *FLUSHES],
    "reopen": [*NAMES, Point("unlink", 1), Point("unlink", 2), *FLUSHES],
}
KILLS = [(method, point) for method, points in POINTS.items() for point in (points[0], *spread(points[1:], 1))]


@pytest.mark.parametrize(("method", "point"), KILLS, ids=[f"{method} {point}" for method, point in KILLS])
def test_killed_while_the_log_is_written(tmp_path, method, point):
    box = Sandbox(tmp_path)
    box.work.mkdir()
    log = box.work / "api.log"
    if method == "collapse" and custody(box.work).file_system not in {"ext4", "xfs"}:
        pytest.skip("the temporary folder is neither on ext4 nor on xfs")
    more = ", reopen: {signal: USR1}" if method == "reopen" else ""
    (tmp_path / "play.yml").write_text(PLAY.format(method=method, more=more))
    with writing(log, hears=method == "reopen", rest=0.0002) as writer:
        time.sleep(0.2)
        box.interrupted(point, "signal=SIGKILL")
        until = time.monotonic() + 5
        while psutil.Process(writer.pid).status() == psutil.STATUS_STOPPED:
            assert time.monotonic() < until, "nobody has continued the writer"
            time.sleep(0.01)
        again = box.run()
        assert again.rc == 0, again.text
        time.sleep(0.05)
        count = writer.stop()
    assert not list(box.work.glob("*.rotating"))
    if method == "copytruncate":
        kept = [int(line) for line in re.findall(rb"^(\d+) x*$", everything(log), re.MULTILINE)]
        assert all(one < next_one for one, next_one in pairwise(kept))
        assert len(kept) > count // 2
    else:
        assert numbers(everything(log)) == list(range(count))
