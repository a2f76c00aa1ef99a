"""A wheel, installed into a bare environment, runs the shipped playbooks from any folder."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from runbook.demo.upkeep import tree
from runbook.demo_folder import make_experiment

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
pytestmark = pytest.mark.wheel


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build from a copy, so that no build folder is left in the checkout and none is taken from it."""
    source, out = tmp_path_factory.mktemp("checkout") / "runbook", tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "tests", "*.egg-info", "__pycache__")
    made = {str(ROOT): {"demo"}}  # by `make demo`; runbook/demo is another
    shutil.copytree(ROOT, source, ignore=lambda folder, names: unwanted(folder, names) | made.get(folder, set()))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Give the bin folder of an environment with the wheel and what it declares to need, nothing else."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", home / "bin/python"]
    run(*pip, "install", "--no-compile", wheel, cwd=home)
    return home / "bin"


def test_the_wheel_claims_one_name_and_ships_what_it_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"runbook", f"runbook-{PROJECT['project']['version']}.dist-info"}
    needed = {
        "py.typed",
        "report_schema.json",
        "tasks/files.py",
        "tasks/logs.py",
        "playbooks/maintenance.yml",
        "inventory/local.yml",
    }
    assert {f"runbook/{name}" for name in needed} <= names
    assert f"runbook-{PROJECT['project']['version']}.dist-info/licenses/LICENSE" in names


def test_every_module_of_the_checkout_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = {
        "runbook": "runbook",
        "tasks": "runbook/tasks",
        "playbooks": "runbook/playbooks",
        "inventory": "runbook/inventory",
    }
    for folder, inside in folders.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".yml", ".json", ".j2"}:
                assert f"{inside}/{path.relative_to(ROOT / folder)}" in names


def test_it_runs_maintenance_from_another_folder(installed, tmp_path):
    experiment = make_experiment(tmp_path / "experiment", lines=100)
    before = tree(experiment)
    command = [
        installed / "runbook",
        "play",
        "maintenance.yml",
        "-e",
        f"exp_dir={experiment}",
        "--state-dir",
        tmp_path / "state",
    ]
    run(*command, "--check", cwd=tmp_path)
    assert tree(experiment) == before
    run(*command, cwd=tmp_path)
    after = tree(experiment)
    assert "logs/archive/train.err.gz" in after
    assert "checkpoints/last_1000.pt" not in after
    run(*command, cwd=tmp_path)
    assert tree(experiment) == after


def test_it_says_its_version_both_ways(installed, tmp_path):
    version = PROJECT["project"]["version"]
    assert version in run(installed / "runbook", "--version", cwd=tmp_path).stdout
    assert version in run(installed / "python", "-m", "runbook", "--version", cwd=tmp_path).stdout


def test_no_top_level_tasks_in_site_packages(installed, tmp_path):
    code = "import importlib.util as u; print([n for n in ('tasks', 'playbooks', 'inventory') if u.find_spec(n)])"
    assert run(installed / "python", "-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_every_package_is_declared():
    declared = PROJECT["tool"]["setuptools"]
    inside = {"runbook": ROOT / "runbook"}
    inside |= {package: ROOT / folder for package, folder in declared["package-dir"].items()}
    found = {
        ".".join([package, *path.parent.relative_to(folder).parts])
        for package, folder in inside.items()
        for path in folder.rglob("*.py")
    }
    assert found == set(declared["packages"])


def test_the_version_is_said_once_alike():
    from runbook import __version__

    assert __version__ == PROJECT["project"]["version"]
