"""The same content gives the same bytes, whoever packs it, when, where, in which language and in which order."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.registry import Registry
from tests.releasing import built, experiment, for_everybody, host_at, played

SCRIPT = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from tests.releasing import built, experiment, host_at
with TemporaryDirectory() as folder:
    built(experiment(Path(folder) / "exp"))  # so that all is imported, whatever another user may read
umask, user, root = int(sys.argv[1], 8), int(sys.argv[2]), Path(sys.argv[3])
os.umask(umask)
if user:
    os.setgid(user)
    os.setuid(user)
print(built(root, host_at(root, now=datetime.now(UTC)), models="all", include=["notes"]))
"""
ROOT = Path(__file__).parents[2]
HERE = {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
ELSEWHERE = {
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "2",
    "PYTHONUTF8": "0",
    "LANG": "ko_KR.EUC-KR",
}


@pytest.fixture
def original(tmp_path):
    """Give an experiment with names that sort otherwise in other languages, and times that are not the same."""
    root = experiment(tmp_path / "original")
    (root / "notes").mkdir()
    for number, name in enumerate(["I.txt", "i.txt", "İ.txt", "z.txt", "ä.txt", "가.txt", "B.txt", "a b.txt"]):
        (root / "notes" / name).write_text(name * 1000)
        os.utime(root / "notes" / name, (1_700_000_000 + number, 1_700_000_000 + number))
    return root


def copied(original: Path, to: Path, *, backwards: bool) -> Path:
    """Copy it file by file, so that the folders list them in another order; the times stay."""
    for path in sorted(original.rglob("*"), reverse=backwards):
        target = to / path.relative_to(original)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o777)
        if path.is_symlink():
            target.symlink_to(os.readlink(path))
        elif path.is_file():
            shutil.copy2(path, target)
    for folder in (to, *to.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o777)
    return to


def packed(root: Path, env: dict[str, str], *, umask: str, user: int = 0, clock: str | None = None) -> bytes:
    """Build it in a process of its own, in other surroundings."""
    fake = ["faketime", clock] if clock else []
    command = [*fake, sys.executable, "-c", SCRIPT, umask, str(user), str(root)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    if clock:
        assert clock[:4] in path.name, "the name says when it was built"
    return path.read_bytes()


def test_built_in_other_surroundings_it_is_the_same_to_the_byte(original, tmp_path):
    first = packed(copied(original, tmp_path / "one", backwards=False), HERE, umask="022")
    for mode in original.rglob("*.txt"):
        mode.chmod(0o600)
    second = packed(copied(original, tmp_path / "other/place", backwards=True), ELSEWHERE, umask="077")
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_built_by_another_user(original, tmp_path):
    first = packed(copied(original, tmp_path / "one", backwards=False), HERE, umask="022")
    with for_everybody() as folder:
        second = packed(copied(original, folder / "two", backwards=True), ELSEWHERE, umask="002", user=1234)
    assert first == second


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed: the clock cannot be another")
def test_built_years_later(original, tmp_path):
    first = packed(copied(original, tmp_path / "one", backwards=False), HERE, umask="022")
    second = packed(copied(original, tmp_path / "two", backwards=False), HERE, umask="022", clock="2031-07-01 12:00:00")
    assert first == second


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no second file system")
def test_built_on_another_file_system(original, tmp_path):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir="/dev/shm") as memory:
        other = copied(original, Path(memory) / "exp", backwards=True)
        assert built(original, include=["notes"]).read_bytes() == built(other, include=["notes"]).read_bytes()


def git(folder: Path, *words: str) -> str:
    env = {**os.environ, "GIT_COMMITTER_DATE": "@1735689600 +0900", "GIT_AUTHOR_DATE": "@0 +0000", "HOME": str(folder)}
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *words]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_time_inside_is_the_one_that_is_said_or_the_commits_or_the_newest_contents(original):
    host = host_at(original)
    assert played("release.build", host, root=original).data["created"] == "2025-10-09T08:53:20Z"
    git(original, "init", "-q")
    assert played("release.build", host, root=original).changes == []  # a repository without a commit says nothing
    git(original, "add", "config.yaml")
    git(original, "commit", "-qm", "first")
    of_commit = played("release.build", host, root=original).data
    assert of_commit["created"] == "2025-01-01T00:00:00Z"
    assert of_commit["git"] == git(original, "rev-parse", "HEAD")
    assert Path(of_commit["path"]).name == f"release-20260310T020000Z-{of_commit['git'][:12]}.tar.gz"
    host.env["SOURCE_DATE_EPOCH"] = "1000000000"
    assert played("release.build", host, root=original, version="2").data["created"] == "2001-09-09T01:46:40Z"


@pytest.mark.skipif(shutil.which("git") is None or os.geteuid() != 0, reason="needs git, and root for another owner")
def test_a_repository_of_another_user_counts_and_runs_nothing_of_theirs(original, tmp_path):
    git(original, "init", "-q")
    git(original, "add", "config.yaml")
    git(original, "commit", "-qm", "first")
    trap = f"#!/bin/sh\ntouch {tmp_path}/trapped\n"
    for name in ("core.fsmonitor", "core.pager", "gpg.program"):
        (tmp_path / "trap").write_text(trap)
        (tmp_path / "trap").chmod(0o755)
        git(original, "config", name, str(tmp_path / "trap"))
    git(original, "config", "log.showSignature", "true")
    for path in (original / ".git").rglob("*"):
        os.chown(path, 1234, 1234)
    os.chown(original / ".git", 1234, 1234)
    os.chown(original, 1234, 1234)
    assert played("release.build", host_at(original), root=original).data["git"] is not None
    assert not (tmp_path / "trapped").exists()


def test_without_git_it_is_nogit(original, monkeypatch):
    (original / ".git").mkdir()
    host = host_at(original)
    host.env["PATH"] = "/nowhere"
    assert played("release.build", host, root=original).data["git"] is None


def test_the_task_is_documented_as_a_state():
    assert Registry().spec("release.build").kind == "state"
