"""What every test is kept apart from: settings, run store and kept graphs of whoever runs the tests."""

import os
from importlib.util import find_spec

import pytest


def pytest_collection_modifyitems(items):
    """Skip what needs PyTorch where it is not: it is large, and nothing else needs it."""
    if find_spec("torch") is None:
        for item in items:
            if item.get_closest_marker("torch"):
                item.add_marker(pytest.mark.skip(reason="PyTorch is not installed: `make torch` does it"))


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """Give the tests, and the commands that they start, a run store of their own and none of runbook's settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RUNBOOK_") and name != "RUNBOOK_FAULTS"]:
            patch.delenv(name)
        folder = tmp_path_factory.mktemp("runbook-home")
        patch.setenv("RUNBOOK_HOME", str(folder))
        patch.setenv("RUNBOOK_MODEL_CACHE", str(tmp_path_factory.mktemp("runbook-graphs")))
        yield folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Give the models that `tests.service` trains; nobody changes them."""
    from tests.service import make_digits  # what it imports takes a second

    return make_digits(tmp_path_factory.mktemp("digits"))
