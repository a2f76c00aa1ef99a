"""What the fault tests share: strace that can inject, and a bench for each scenario."""

import shutil
import subprocess

import pytest

from runbook.host.rotation.custody import custody
from tests.faults.rehearsals import REHEARSE
from tests.faults.rotations import COLLAPSE, ROTATE
from tests.faults.scenarios import SCENARIOS
from tests.faults.sweep import Bench


def unable() -> str | None:
    """Say why nothing can be injected here, if so."""
    if shutil.which("strace") is None:
        return "strace is not installed: no faults can be injected"
    tried = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True
    )
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture(scope="session", autouse=True)
def strace():
    if reason := unable():
        pytest.skip(reason)


@pytest.fixture(scope="session", params=(*SCENARIOS, REHEARSE, ROTATE, COLLAPSE), ids=lambda scenario: scenario.name)
def bench(request, tmp_path_factory, strace):
    folder = tmp_path_factory.mktemp("lies")
    if request.param.needs and custody(folder).file_system not in request.param.needs:
        pytest.skip(f"the temporary folder is on none of {' and '.join(request.param.needs)}")
    return Bench(request.param, tmp_path_factory.mktemp(request.param.name))
