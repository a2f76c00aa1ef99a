"""When a system call fails, the error is clean, the old state is intact, and a later run succeeds."""

import pytest

from tests.faults.sweep import ERRORS, sweep

pytestmark = pytest.mark.fault
# What the kernel does not answer with: EACCES is for paths, ENOSPC for what needs room.
NEVER = {
    "EACCES": {
        "write",
        "pwrite64",
        "fsync",
        "fdatasync",
        "flock",
        "ftruncate",
        "sendfile",
        "copy_file_range",
        "fallocate",
    },
    "ENOSPC": {"unlink", "unlinkat", "rmdir", "flock", "fchmod", "fchmodat", "chmod", "fchown", "utimensat"},
    "EIO": {"flock"},
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_at_any_call_that_touches_its_files(bench, error):
    points = bench.share([point for point in bench.points if point.call not in NEVER[error]], 2)
    sweep([(point, error) for point in points], bench.failing_at)
