"""Where ansible-core is, and how its modules and its command are asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BIN = Path(os.environ.get("PEERS") or ROOT / ".venv-peers/bin")
WHOLE = bool(os.environ.get("PEERS_WHOLE"))
THERE = (BIN / "ansible-playbook").exists()
needs_ansible = pytest.mark.skipif(not THERE, reason=f"no ansible-core in {BIN}; `make peers` installs it")


def sliced(cases: list[Any], every: int) -> list[Any]:
    """Give all cases to `make peers`, and every so many-th of them to `make test`."""
    return cases if WHOLE else cases[::every]


class Server:
    """A process of ansible-core's interpreter that answers a line of JSON with one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **request: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())


@contextmanager
def _serving(script: str) -> Iterator[Server]:
    argv = [str(BIN / "python"), str(HERE / "there" / script)]
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=sys.stderr, env=env
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()


class Modules:
    """Modules of ansible-core, run one at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, module: str, **args: Any) -> dict[str, Any]:
        """Give what the module answers, with `changed` and `failed` always there."""
        answer: dict[str, Any] = self._server.ask(module=module, args=args)
        return {"changed": False, "failed": False} | answer


@dataclass(frozen=True)
class Played:
    """What a run of a playbook did: its exit code, its results in their order, and what it printed."""

    exit: int
    results: list[dict[str, Any]]
    printed: str


class Plays:
    """The command `ansible-playbook`, without the time that it takes to start."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, folder: Path, *words: str) -> Played:
        """Play `playbook.yml` of a folder, for the hosts of its `inventory.yml` if it has one."""
        inventory = (
            ["-i", "inventory.yml"] if (folder / "inventory.yml").exists() else ["-i", "localhost,", "-c", "local"]
        )
        trace, out = folder.parent / f"{folder.name}.trace", folder.parent / f"{folder.name}.out"
        python = ["-e", f"ansible_python_interpreter={BIN / 'python'}"]
        all_words = [*inventory, *python, *words, "playbook.yml"]
        code = self._server.ask(folder=str(folder), words=all_words, trace=str(trace), out=str(out))
        lines = trace.read_text().splitlines() if trace.exists() else []
        return Played(code, [json.loads(line) for line in lines], out.read_text() if out.exists() else "")


@contextmanager
def modules() -> Iterator[Modules]:
    with _serving("modules.py") as server:
        yield Modules(server)


@contextmanager
def plays() -> Iterator[Plays]:
    with _serving("plays.py") as server:
        yield Plays(server)
