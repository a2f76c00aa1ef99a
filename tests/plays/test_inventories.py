"""The inventory to copy fits the playbooks: each compiles with what is said there, on a machine that has these folders."""

from pathlib import Path

import pytest

from runbook.hosts import load_inventory
from runbook.plan.compile import Request, compile_plan
from runbook.playbook import find_playbook, load_playbook
from runbook.registry import Registry

ROOT = Path(__file__).parents[2]
GIVEN = {
    "monthly": {"service": "api"},
    "restore": {"path": "model.onnx"},
    "rollback": {"path": "model.onnx"},
    "rotate_key": {"service": "api"},
    "rotate_logs": {"log": "tunnel.log"},
}
BOOKS = sorted({"daily", "gate", "health", "maintenance", "release", "verify", "weekly", *GIVEN})


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Give the example with its paths moved into a folder that has them, but for the samples, whose disk is away."""
    folder = tmp_path_factory.mktemp("machine").resolve()
    text = (ROOT / "inventory/example.yml").read_text()
    for path in ("/srv", "/data", "/etc", "/var", "/usr"):
        text = text.replace(f": {path}/", f": {folder}{path}/").replace(f"[{path}]", f"[{folder}{path}]")
    for name in ("logs", "checkpoints", "export", "reports", "releases"):
        (folder / "data/exp/exp01" / name).mkdir(parents=True)
    for name in ("etc/cloudflared", "srv/classifier", "var/log"):
        (folder / name).mkdir(parents=True)
    env_file = folder / "srv/classifier/.env"
    env_file.touch(0o600)
    env_file.write_text(f"API_KEY={'0123456789abcdef' * 4}\n")
    for name in ("var/log/cloudflared.log", "model.onnx", "tunnel.log"):
        (folder / name).touch()
    (folder / "inventory.yml").write_text(text)
    return folder


@pytest.mark.parametrize("name", BOOKS)
def test_every_playbook_compiles_with_the_example(machine, name, monkeypatch):
    monkeypatch.chdir(machine)
    path, registry = find_playbook(f"{name}.yml"), Registry([])
    extra = tuple(f"{key}={value}" for key, value in GIVEN.get(name, {}).items())
    inventory = load_inventory(machine / "inventory.yml", machine)
    book = load_playbook(path, is_task=registry.is_task)
    assert compile_plan(book, inventory, registry, Request(path, extra)).plays
