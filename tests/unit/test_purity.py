"""A plugin that writes while it plans fails, in check and in run mode, and what it wanted to write is not there."""

import pytest
from playing import Folder

HEAD = """
import concurrent.futures, os, shutil, subprocess, threading
from pathlib import Path
from runbook.changes import Write
from runbook.task import Params, task

class To(Params):
    path: Path

def spoil(path):
    path.write_text("spoilt")
"""
# What each plugin does with `want.path` while it plans.
DEEDS = {
    "call": "spoil(want.path); return ()",
    "generator": "spoil(want.path); yield from ()",
    "final": """
    try:
        yield from ()
    finally:
        spoil(want.path)
    """,
    "closing": """
    try:
        yield Write(want.path.with_name("a.txt"), b"good")
        raise ValueError("no more")
    finally:
        spoil(want.path)
    """,
    "thread": """
    thread = threading.Thread(target=spoil, args=(want.path,))
    thread.start(); thread.join()
    yield from ()
    """,
    "pool": """
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(spoil, want.path).exception()
    yield from ()
    """,
    "swallowed": """
    try:
        spoil(want.path)
    except Exception:
        pass
    yield from ()
    """,
    "swallowed_all": """
    try:
        spoil(want.path)
    except BaseException:
        pass
    return []
    """,
    "swallowed_then_other": """
    try:
        spoil(want.path)
    except BaseException:
        raise KeyError("something else") from None
    """,
    "child": "subprocess.run(['touch', str(want.path)]); return ()",
    "shell": "os.system(f'touch {want.path}'); return ()",
    "folder": "want.path.mkdir(); return ()",
    "rename": "os.rename(want.path.with_name('kept'), want.path); return ()",
    "unlink": "os.unlink(want.path.with_name('kept')); return ()",
    "tree": "shutil.rmtree(want.path.parent); return ()",
    "chmod": "os.chmod(want.path.with_name('kept'), 0o777); return ()",
    "lazily": "return (spoil(want.path) for _ in range(1))",
    "host": "host.write(want.path, b'spoilt', mode=None, was=None); return ()",
    "environ": "os.environ['SPOILT'] = 'yes'; return ()",
    "moved": "os.chdir('/'); return ()",
}


def body(code: str) -> str:
    lines = code.strip("\n").splitlines()
    return "\n".join(line if line.startswith("    ") else f"    {line}" for line in lines)


def plugins(names: dict[str, str]) -> str:
    tasks = (
        f'@task\ndef {name}(want: To, host):\n    """It spoils."""\n{body(code)}\n' for name, code in names.items()
    )
    return HEAD + "\n\n" + "\n\n".join(tasks)


@pytest.fixture(scope="module", params=["run", "check"])
def spoilt(request, tmp_path_factory):
    """Every plugin in one run, each step with a folder of its own, failures ignored."""
    folder = Folder(tmp_path_factory.mktemp(request.param))
    folder.plugin("bad", plugins(DEEDS))
    for name in DEEDS:
        (folder.path / name).mkdir()
        (folder.path / name / "kept").write_text("kept")
        (folder.path / name / "kept").chmod(0o600)
    steps = [
        {"name": name, f"bad.{name}": {"path": str(folder.path / name / "spoilt")}, "ignore_errors": True}
        for name in DEEDS
    ]
    folder.book([*steps, {"name": "last", "debug": {"msg": "{{ lookup('env', 'SPOILT') }}|"}}])
    return folder, folder.play(*(["--check"] if request.param == "check" else []))


@pytest.mark.parametrize("name", DEEDS)
def test_it_fails_naming_the_plugin(spoilt, name):
    _, ended = spoilt
    step = ended.step(name)
    assert (step["status"], step["error"]["type"]) == ("failed", "ImpurePlan")
    assert f"plugin 'bad.{name}'" in step["error"]["message"]
    assert "while planning" in step["error"]["message"]


@pytest.mark.parametrize("name", DEEDS)
def test_nothing_was_written(spoilt, name):
    folder, _ = spoilt
    place = folder.path / name
    found = {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in place.iterdir()}
    # `closing` had yielded a change before; in a plan that fails no change is applied.
    assert found == {"kept": ("kept", 0o600)}


def test_the_run_goes_on(spoilt):
    folder, ended = spoilt
    assert ended.code == 0
    assert ended.step("last")["reason"] == "|", "a variable of the process was set"
    assert ended.report["summary"]["ignored"] == len(DEEDS)
    assert "Traceback" not in ended.out + ended.err
    assert sorted(path.name for path in folder.path.iterdir()) == sorted([*DEEDS, "book.yml", "state", "tasks"])


READS = """
    import sqlite3, tempfile, zoneinfo
    open("/dev/null", "w").close()
    tempfile.gettempdir()
    host.probe(["true"])
    if host.stat(want.path) is None:
        yield Write(want.path, b"good")
"""


def test_reading_and_importing_are_no_violation(tmp_path):
    folder = Folder(tmp_path)
    folder.plugin("good", plugins({"reads": READS}))
    folder.book([{"good.reads": {"path": str(tmp_path / "made")}}])
    assert folder.play("--check").code == 0
    assert not (tmp_path / "made").exists()
    ended = folder.play()
    assert (ended.code, (tmp_path / "made").read_text()) == (0, "good")
