"""What the docs show is run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.testing import read_cases, run_case

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def play(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runbook", "play", *map(str, words), "--state-dir", str(cwd / "state")]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_readmes_first_playbook(tmp_path: Path) -> None:
    (tmp_path / "hello.yml").write_text(next(block for block in blocks("README.md", "yaml") if "Say hello" in block))
    done = play("hello.yml", "-e", f"folder={tmp_path}", "--check", "--diff", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "+hello from localhost" in done.stdout
    assert not (tmp_path / "hello.txt").exists()


def test_the_readmes_upkeep_compiles(tmp_path: Path) -> None:
    (tmp_path / "upkeep.yml").write_text(blocks("README.md", "yaml")[0])
    done = play("upkeep.yml", "-e", f"exp_dir={tmp_path}", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The plugin and the playbook of docs/plugins.md, as a user would lay them out."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "notes.py").write_text(blocks("docs/plugins.md", "python")[0])
    playbook = blocks("docs/plugins.md", "yaml")[0].replace("/srv/app", str(tmp_path))
    (tmp_path / "stamp.yml").write_text(playbook)
    (tmp_path / "config.yaml").write_text("debug: false\n")
    return tmp_path


def test_the_plugin_of_the_docs_converges(plugin: Path) -> None:
    first = play("stamp.yml", cwd=plugin)
    assert first.returncode == 0, first.stdout + first.stderr
    assert (plugin / "config.yaml").read_text() == "# owner: ml-platform\ndebug: false\n"
    second = play("stamp.yml", cwd=plugin)
    assert "ok 1" in second.stdout
    assert "changed" not in second.stdout


def test_the_case_of_the_docs_holds(plugin: Path) -> None:
    folder = plugin / "cases" / "notes.stamped"
    folder.mkdir(parents=True)
    (folder / "adds_the_line.yaml").write_text(blocks("docs/plugins.md", "yaml")[1])
    (case,) = read_cases(folder / "adds_the_line.yaml")
    assert run_case(case, plugins=[plugin / "tasks"]) == []
    real = plugin / "real"
    real.mkdir()
    assert run_case(case, real, plugins=[plugin / "tasks"]) == []
