"""On a disk that is really full a run says so, keeps what was there, and goes through once there is room."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.power import sh
from tests.faults.sandbox import leftovers, tree

pytestmark = pytest.mark.fault


@contextmanager
def small_disk(at: Path, megabytes: int = 12):
    at.mkdir(parents=True)
    sh("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", at)
    try:
        yield at
    finally:
        sh("umount", at)


@pytest.fixture(autouse=True)
def mounts(tmp_path):
    try:
        with small_disk(tmp_path / "trial"):
            pass
    except OSError as refused:
        pytest.skip(f"no mounts here, so no disk can be filled: {refused}")


def fill(folder: Path, *, leave: int) -> Path:
    """Fill the disk but for some bytes; give the file that does it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        rest = shutil.disk_usage(folder).free - leave
        while rest > 0:
            rest -= file.write(bytes(min(rest, 2**16)))
    return filler


@pytest.mark.parametrize("leave", [0, 4096])
def test_a_full_disk_for_the_files(bench, tmp_path, leave):
    bench.spare_costly()
    if bench.scenario.needs:
        pytest.skip("the disk that is filled is a tmpfs, on which this cannot be played")
    with small_disk(tmp_path / "disk") as at:
        box = bench.sandbox(at / "box", apart=tmp_path / "state")
        said, filler = at / "box" / "said.txt", fill(at, leave=leave)
        said.symlink_to(tmp_path / "said.txt")
        ran = box.run()
        if bench.scenario.name.endswith(".prune"):
            assert ran.rc == 0, ran.text  # deleting needs no room
        else:
            assert ran.rc == 1, ran.text
            assert "No space left on device" in ran.text
        assert "Traceback" not in ran.text
        assert not [*bench.wrong_now(box), *leftovers(box.root)]
        filler.unlink()
        assert not list(bench.wrong_after_rerun(box))


@pytest.mark.parametrize("leave", [0, 4096])
def test_a_full_disk_for_the_record(bench, tmp_path, leave):
    bench.spare_costly()
    with small_disk(tmp_path / "disk") as at:
        box = bench.sandbox(tmp_path / "box", apart=at / "state")
        filler = fill(at, leave=leave)
        ran = box.run()
        assert ran.rc == 1, ran.text
        assert "No space left on device" in ran.text
        assert "Traceback" not in ran.text
        if leave == 0:
            assert tree(box.work) == bench.before, "nothing is done that cannot be recorded"
        assert not list(bench.wrong_now(box))
        filler.unlink()
        assert not list(bench.wrong_after_rerun(box))
