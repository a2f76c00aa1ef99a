"""Where ansible-core is, and how its modules are asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BIN = Path(os.environ.get("PEERS") or ROOT / ".venv-peers/bin")
THERE = (BIN / "ansible-playbook").exists()
needs_ansible = pytest.mark.skipif(not THERE, reason=f"no ansible-core in {BIN}; `make peers` installs it")


class Modules:
    """A process that runs modules of ansible-core, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, module: str, **args: Any) -> dict[str, Any]:
        """Give what the module answers, with `changed` and `failed` always there."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"module": module, "args": args}) + "\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        return {"changed": False, "failed": False} | answer


@contextmanager
def modules() -> Iterator[Modules]:
    argv = [str(BIN / "python"), str(HERE / "ansible_modules.py")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=sys.stderr) as process:
        yield Modules(process)
        assert process.stdin is not None
        process.stdin.close()
