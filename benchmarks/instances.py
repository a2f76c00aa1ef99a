"""Many instances of a service: asked for their health, and reloaded a tenth at a time; the instances are simulated."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import RUNBOOK, Trial, interleave
from benchmarks.simulated import KEY

# How many instances, with how many rounds: of the check, of the reload; ansible-core takes minutes for a hundred.
SIZES = ((1, (5, 3)), (10, (3, 2)), (100, (2, 1)), (1000, (3, 3)))
QUICK = ((1, (1, 1)), (10, (1, 1)))
MOST_BESIDE = 100  # instances that ansible-core is measured on

OURS = {
    "checked": """
- hosts: all
  steps:
    - http.check: {url: "http://127.0.0.1:{{ port }}/health", json: {status: healthy}}
""",
    "reloaded": """
- hosts: all
  serial: 10%
  vars_files: [target.yml]
  steps:
    - model.reload: {url: "http://127.0.0.1:{{ port }}", path: "{{ model }}", api_key: "{{ key }}"}
    - http.check: {url: "http://127.0.0.1:{{ port }}/health", json: {status: healthy}}
""",
}
# What the same steps take: the version before, the request, the version after, the health.
THEIRS = {
    "checked": """
- hosts: all
  gather_facts: false
  tasks:
    - uri: {url: "http://127.0.0.1:{{ port }}/health"}
      register: health
      failed_when: health.json.status != 'healthy'
""",
    "reloaded": """
- hosts: all
  gather_facts: false
  serial: 10%
  vars_files: [target.yml]
  tasks:
    - uri: {url: "http://127.0.0.1:{{ port }}/version"}
      register: served
    - uri:
        url: "http://127.0.0.1:{{ port }}/reload"
        method: POST
        headers: {X-API-Key: "{{ key }}"}
        body_format: json
        body: {model_path: "{{ model }}"}
      when: served.json.model_path != model
      changed_when: true
    - uri: {url: "http://127.0.0.1:{{ port }}/version"}
      register: served
      failed_when: served.json.model_path != model
    - uri: {url: "http://127.0.0.1:{{ port }}/health"}
      register: health
      failed_when: health.json.status != 'healthy'
""",
}


def instances(work: Path, peers: Path, *, quick: bool) -> dict[str, Any]:
    """Measure runbook, and beside it ansible-core up to a hundred, on simulated instances on loopback ports."""
    found: dict[str, Any] = {}
    for count, rounds in QUICK if quick else SIZES:
        folder = work / f"instances-{count}"
        folder.mkdir()
        with served(count, folder) as ports:
            beside = count <= MOST_BESIDE and (peers / "ansible-playbook").exists()
            for what, times in zip(OURS, rounds, strict=True):
                which = [_runbook(folder, what, ports)] + ([_ansible(folder, what, ports, peers)] if beside else [])
                found[f"{count} {what}"] = interleave(which, times, warm=count == 1)
    return found


@contextmanager
def served(count: int, folder: Path) -> Iterator[list[int]]:
    """Start the instances in one process of their own, and give their ports."""
    for name in ("a", "b"):
        (folder / f"{name}.onnx").write_bytes(name.encode() * 100_000)
    argv = [sys.executable, "-m", "benchmarks.simulated", str(count), str(folder / "a.onnx")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            ports: list[int] = json.loads(server.stdout.readline())
            hosts = "".join(
                f"    api-{at}: {{ansible_connection: local, port: {port}}}\n" for at, port in enumerate(ports)
            )
            (folder / "inventory.yml").write_text(f"all:\n  hosts:\n{hosts}")
            yield ports
        finally:
            server.stdin.close()


def _runbook(folder: Path, what: str, ports: list[int]) -> Trial:
    (folder / f"{what}.yml").write_text(OURS[what])
    argv = [RUNBOOK, "play", f"{what}.yml", "-i", "inventory.yml", "--state-dir", "state"]
    return _trial("runbook", argv, folder, what, ports)


def _ansible(folder: Path, what: str, ports: list[int], peers: Path) -> Trial:
    (folder / f"{what}-ansible.yml").write_text(THEIRS[what])
    argv = [str(peers / "ansible-playbook"), "-i", "inventory.yml", f"{what}-ansible.yml"]
    env = {
        "ANSIBLE_HOME": str(folder / "ansible-home"),
        "ANSIBLE_PYTHON_INTERPRETER": str(peers / "python"),  # looking for one costs it a second
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),  # there is none: its defaults
    }
    return _trial("ansible-core", argv, folder, what, ports, env)


def _trial(
    name: str, argv: list[str], folder: Path, what: str, ports: list[int], env: dict[str, str] | None = None
) -> Trial:
    target = folder / "target.yml"

    def turn() -> None:
        """Want the model that is not served."""
        model = folder / ("b.onnx" if _model(ports[0]).endswith("a.onnx") else "a.onnx")
        target.write_text(json.dumps({"model": str(model), "key": KEY}))

    def check() -> None:
        wanted = json.loads(target.read_text())["model"]
        if what == "reloaded" and any(_model(port) != wanted for port in ports):
            raise SystemExit(f"{name} has not reloaded all of {len(ports)} instances")

    return Trial(name, argv, folder, turn, check, env)


def _model(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/version") as answer:
        return str(json.load(answer)["model_path"])
