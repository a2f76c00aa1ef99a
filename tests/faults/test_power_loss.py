"""What a run says that it has done outlives the power; and this test would notice if one fsync were forgotten."""

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.power import disk, promised, sh
from tests.faults.sandbox import Point, Sandbox, difference, tree
from tests.faults.sweep import Bench

pytestmark = pytest.mark.fault
LATER = pytest.mark.parametrize("later", [False, True], ids=["at once", "after another file's fsync"])


@pytest.fixture(scope="module", autouse=True)
def mounts(tmp_path_factory):
    """Skip, with the reason, where disks cannot be mounted: in most containers, and without root."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed: the power cannot be cut")
    try:
        with disk(tmp_path_factory.mktemp("trial")):
            pass
    except OSError as refused:
        pytest.skip(f"no loop mounts here, so the power cannot be cut: {refused}")


@pytest.mark.parametrize("flushed", [True, False])
def test_the_disk_keeps_what_was_flushed_and_nothing_else(tmp_path, flushed):
    with disk(tmp_path / "disk") as made:
        path = made.at / "file"
        with path.open("w") as file:
            file.write("content")
            file.flush()
            if flushed:
                os.fsync(file.fileno())
        path.rename(made.at / "final")
        made.cut_power(later=True)
        assert (made.at / "final").read_text() == ("content" if flushed else "")


def lost(bench: Bench, folder: Path, strace: tuple[Point, str] | None, *, later: bool, **how: bool) -> list[str]:
    """Run on a disk, cut its power, and name what was promised and is not there, or what the next run makes of it."""
    bench.spare_costly()
    apart = folder / "state" if how.pop("apart", False) else None
    with disk(folder) as made:
        box = bench.sandbox(made.at / "box", apart)
        sh("sync", "-f", box.root)
        ran = box.interrupted(*strace, **how) if strace else box.run()
        live, promises = tree(box.work), promised(box)
        made.cut_power(later=later)
        found, wrong = tree(box.work), list(bench.wrong_now(box))
        wrong += [f"{path} was promised" for path, value in promises.items() if found.get(path) != value]
        if ran.rc == 0:
            assert live == bench.end
            wrong += [f"the run had ended: {difference(found, live)}"] * (found != live)
            wrong += ["the run had ended, and no report says so"] * (not wrong and said(box) != ["ok"])
        return wrong or list(bench.wrong_after_rerun(box))


def said(box: Sandbox) -> list[str]:
    return [report["status"] for report in box.reports()]


@LATER
def test_a_finished_run_outlives_the_power(bench, tmp_path, later):
    assert not lost(bench, tmp_path / "disk", None, later=later)


def test_a_run_cut_off_at_any_call_loses_nothing(bench, tmp_path):
    for number, point in enumerate(bench.share(bench.points, 2)):
        wrong = lost(bench, tmp_path / "disk", (point, "signal=SIGKILL"), later=bool(number % 2))
        assert not wrong, f"{point}: {wrong}"


@LATER
def test_forgotten_fsyncs_are_noticed(bench, tmp_path, later):
    every = Point("fsync,fdatasync", 1)
    assert lost(bench, tmp_path / "disk", (every, "retval=0"), later=later, onwards=True)
