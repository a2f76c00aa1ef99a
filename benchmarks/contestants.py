"""The same small files, written by each contestant: a play of N steps, and the command that runs it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import RUNBOOK, Trial

GREETING = "The quick brown fox jumps over the lazy dog.\n" * 5
SHAPES = ("literal", "one template", "two templates and a when")

# The durable way: temporary, fsync, rename, fsync of the folder; and nothing at all where the content is there already.
BARE = """
import os, sys
folder, count, greeting = {folder!r}, {count}, {greeting!r}
for number in range(count):
    path = os.path.join(folder, f"{{number}}.txt")
    try:
        with open(path) as file:
            if file.read() == greeting:
                continue
    except FileNotFoundError:
        pass
    with open(path + ".tmp", "w") as file:
        file.write(greeting)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".tmp", path)
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
"""


@dataclass(frozen=True)
class FilePlay:
    """N files in `root/out`, each by one step of a shape; `root` also holds the play and its state."""

    root: Path
    count: int
    shape: str = "one template"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)

    def check(self) -> None:
        """Raise unless every file is there with its content."""
        if any((self.out / f"{number}.txt").read_text() != GREETING for number in range(self.count)):
            raise SystemExit(f"{self.root} holds other files than were asked for")

    def steps(self, module: str, name_of_path: str) -> str:
        """Give the steps as YAML, which runbook and ansible share."""
        content = json.dumps(GREETING) if self.shape == "literal" else '"{{ greeting }}"'
        folder, when = ("{{ folder }}", "\n      when: enabled") if "two" in self.shape else (self.out, "")
        return "".join(
            f'    - {module}:\n        {name_of_path}: "{folder}/{number}.txt"\n        content: {content}{when}\n'
            for number in range(self.count)
        )

    def play(self, more: str, steps: str, *, key: str) -> str:
        variables = f"    greeting: {json.dumps(GREETING)}\n    folder: {self.out}\n    enabled: true\n"
        return f"- hosts: localhost\n{more}  vars:\n{variables}  {key}:\n{steps}"

    def runbook(self) -> list[str]:
        (self.root / "play.yml").write_text(self.play("", self.steps("files.present", "path"), key="steps"))
        return [RUNBOOK, "play", "play.yml", "--state-dir", str(self.root / "state")]

    def ansible(self, peers: Path) -> list[str]:
        plain = "  gather_facts: false\n  connection: local\n"
        (self.root / "play.yml").write_text(self.play(plain, self.steps("copy", "dest"), key="tasks"))
        return [str(peers / "ansible-playbook"), "-i", "localhost,", "play.yml"]

    def pyinfra(self, peers: Path) -> list[str]:
        calls = "".join(
            f'files.put(src=StringIO(host.data.greeting), dest="{self.out}/{number}.txt")\n'
            for number in range(self.count)
        )
        imports = "from io import StringIO\nfrom pyinfra import host\nfrom pyinfra.operations import files\n"
        (self.root / "deploy.py").write_text(imports + calls)
        (self.root / "hosts.py").write_text(f"hosts = [('@local', {{'greeting': {GREETING!r}}})]\n")
        return [str(peers / "pyinfra"), "-y", "hosts.py", "deploy.py"]

    def bare(self) -> list[str]:
        script = BARE.format(folder=str(self.out), count=self.count, greeting=GREETING)
        (self.root / "write.py").write_text(script)
        return [sys.executable, "write.py"]


def contestants(peers: Path) -> dict[str, Callable[[FilePlay], list[str]]]:
    found: dict[str, Callable[[FilePlay], list[str]]] = {"bare Python": FilePlay.bare, "runbook": FilePlay.runbook}
    if (peers / "pyinfra").exists():
        found["pyinfra"] = lambda play: play.pyinfra(peers)
    if (peers / "ansible-playbook").exists():
        found["ansible-core"] = lambda play: play.ansible(peers)
    return found


def trials(work: Path, peers: Path, count: int) -> Iterator[tuple[str, Trial]]:
    """Give (state, trial) for each contestant: `changed` from an empty folder, then `unchanged` on the same."""
    env = {
        "ANSIBLE_HOME": str(work / "ansible-home"),
        "ANSIBLE_LOCAL_TEMP": str(work / "ansible-home/tmp"),
        "ANSIBLE_PYTHON_INTERPRETER": str(peers / "python"),  # looking for one costs it a second
        "ANSIBLE_CONFIG": str(work / "ansible.cfg"),  # there is none: its defaults
    }
    for name, command in contestants(peers).items():
        play = FilePlay(work / f"{name.replace(' ', '-')}-{count}", count)
        play.clear()
        argv = command(play)
        yield "changed", Trial(name, argv, play.root, play.clear, play.check, env)
        yield "unchanged", Trial(name, argv, play.root, play.check, play.check, env)
