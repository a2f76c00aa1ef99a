"""The public test tools notice each broken law, and the machine in memory does what a real one does."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from runbook.changes import (
    Completed,
    Compress,
    Exchange,
    MakeFolder,
    Produce,
    Remove,
    Request,
    Response,
    Run,
    RunCommand,
    Usage,
    Write,
)
from runbook.errors import Invalid, Moved, TaskFailed
from runbook.host import Host, LocalHost, Overlay
from runbook.testing import Case, MemoryHost, cases, changes_of, plan_of, play, plays, run_case

HEAD = """
from collections.abc import Iterator
from pathlib import Path
from runbook.changes import Change, MakeFolder, Remove, Write
from runbook.host import Host
from runbook.task import Params, task

class Want(Params):
    path: Path

"""
WRITES = "yield Write(want.path, b'x', was=host.stat(want.path))"
GOOD = {"params": {"path": "/a/x"}, "before": {"/a": {"folder": True}}}
WRITTEN = {**GOOD, "changes": [{"kind": "write", "target": "/a/x"}], "after": {"/a/x": {"content": "x"}}}


@pytest.fixture
def played(tmp_path):
    """Give a function that plays a case of a plugin with this body, in memory and on files; both must agree."""
    plugins, root = tmp_path / "tasks", tmp_path / "root"
    plugins.mkdir()
    root.mkdir()

    def play(body: str, kind: str = "state", **case) -> list[str]:
        code = f'{HEAD}@task(kind="{kind}")\ndef go(want: Want, host: Host) -> Iterator[Change]:\n    """Go."""\n'
        (plugins / "mine.py").write_text(code + "".join(f"    {line}\n" for line in dedent(body).splitlines()))
        told = Case.model_validate({"task": "mine.go", **GOOD, **case})
        in_memory, on_files = run_case(told, plugins=[plugins]), run_case(told, root, plugins=[plugins])
        assert len(in_memory) == len(on_files), (in_memory, on_files)
        return in_memory

    return play


def test_a_good_plugin_breaks_nothing(played):
    assert played(f"if host.stat(want.path) is None: {WRITES}", **WRITTEN) == []


def test_one_that_always_wants_more_is_caught_in_check_mode(played):
    said = played(WRITES, **WRITTEN)
    assert any("did not converge" in each for each in said)


def test_one_that_wants_something_else_when_asked_again(played):
    said = played(
        """
        there = host.stat(want.path)
        if there is None: yield Write(want.path, b"x")
        elif there.size == 1: yield Remove(want.path, there)
        """,
        **WRITTEN,
    )
    assert any(each.startswith("check mode foretold") for each in said)


def test_an_action_is_not_asked_again(played):
    assert played(WRITES, kind="action", **WRITTEN) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], "0 changes were expected, and 1 planned"),
        ([{"kind": "remove", "target": "/a/x"}], "change 1 is"),
        ([{"kind": "write", "target": "/a/x", "detail": "created, 9B"}], "created, 1B"),
    ],
)
def test_another_plan_is_said_and_not_applied(played, changes, said):
    broken = played(f"if host.stat(want.path) is None: {WRITES}", **{**WRITTEN, "changes": changes})
    assert len(broken) == 1
    assert said in broken[0]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({}, ["afterwards '/a' is there (folder), and not expected", "afterwards '/a/x' is there (file)"]),
        ({"/a/x": {"content": "y"}}, ["'/a/x' holds 'x', not 'y'"]),
        ({"/a/x": {"mode": "0600"}}, ["'/a/x' has mode 0644, not 0600"]),
        ({"/a/x": {"age": "9d"}}, ["'/a/x' is "]),
        ({"/a/x": {"link": "y"}}, ["'/a/x' is a file, no link"]),
        ({"/a/x": {}, "/a/y": {}}, ["afterwards '/a/y' is not there"]),
        ({"/a/x": "same"}, ["'/a/x' is not as it was"]),
    ],
)
def test_another_tree_is_said(played, after, said):
    broken = played(f"if host.stat(want.path) is None: {WRITES}", **{**WRITTEN, "after": after})
    assert len(broken) == len(said)
    for each, start in zip(sorted(broken), said, strict=True):
        assert each.startswith(start), each


def test_what_it_returns_is_compared(played):
    body = 'return {"a": {"b": 1, "c": [str(want.path)]}}\nyield'
    assert played(body, returns={"a": {"c": ["/a/x"]}}) == []
    assert played(body, returns={"a": {"b": 2}}) == ["what it returned['a']['b'] is 1, not 2"]
    assert len(played(body, returns={"x": 1})) == 1


@pytest.mark.parametrize(
    ("error", "count"), [(None, 1), ("no such thing", 0), ("another thing", 1)], ids=["none", "this", "another"]
)
def test_its_failure_is_compared(played, error, count):
    body = 'from runbook.errors import TaskFailed\nraise TaskFailed("no such thing")\nyield'
    assert len(played(body, error=error)) == count


def test_a_failure_that_does_not_come_is_said(played):
    assert any("did not fail" in each for each in played("return None\nyield", error="no such thing"))


def test_a_wrong_param_can_be_expected(played):
    assert played("return None\nyield", params={"path": 5}, error="path") == []


def test_a_plan_that_writes_is_caught_on_real_files(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "root").mkdir()
    body = '@task\ndef go(want: Want, host: Host) -> Iterator[Change]:\n    """Go."""\n    want.path.touch()\n    return []\n'
    (tmp_path / "tasks/mine.py").write_text(HEAD + body)
    case = Case.model_validate({"task": "mine.go", **GOOD})
    said = run_case(case, tmp_path / "root", plugins=[tmp_path / "tasks"])
    assert any("'/a/x': None became" in each or "while planning" in each for each in said), said


def test_cases_are_read_with_their_names(tmp_path):
    folder = tmp_path / "mine.go"
    folder.mkdir()
    (folder / "one.yaml").write_text("params: {path: /a/x}\n")
    (folder / "two.yaml").write_text("name: first\nplayed: memory\n---\nplayed: files\n")
    assert [str(case) for case in cases(tmp_path)] == ["mine.go/one", "mine.go/first", "mine.go/two-2"]
    assert [real for _, real in plays(tmp_path)] == [False, True, False, True]
    assert run_case(cases(tmp_path)[1], tmp_path) == ["the case is not for real files"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("before: [", "no YAML"),
        ("- 1\n", "a case is a mapping"),
        ("befor: {}\n", "befor"),
        ("changes: [{kind: write, target: /a}]\n", "says in `after` what is there"),
        ("before: {/a: {content: x, link: y}}\n", "one of content, gzip"),
    ],
)
def test_a_wrong_case_is_an_error_with_its_file(tmp_path, text, said):
    (tmp_path / "case.yaml").write_text(text)
    with pytest.raises(Invalid) as caught:
        cases(tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path / "case.yaml") in str(caught.value)


def filled() -> MemoryHost:
    host = MemoryHost(
        answers={
            "git rev-parse HEAD": [Completed(("git",), 0, "abc\n"), Completed(("git",), 0, "def\n")],
            "POST http://x/reload": [Response(200, {}, b"{}", 0.1)],
        },
        file_systems={Path("/mnt/data"): Usage(10, 4, 6)},
    )
    MakeFolder(Path("/a")).apply(host)
    Write(Path("/a/x"), b"text" * 100, mode=0o600, mtime=5).apply(host)
    return host


def test_memory_compresses():
    host = filled()
    was = host.stat(Path("/a/x"))
    Compress(Path("/a/x"), Path("/a/x.gz"), was).apply(host)
    made = host.stat(Path("/a/x.gz"))
    assert gzip.decompress(host.read(Path("/a/x.gz"))) == b"text" * 100
    assert (made.mode, made.mtime, made.size) == (0o600, 5, len(host.read(Path("/a/x.gz"))))
    with pytest.raises(Moved):
        Compress(Path("/a/x"), Path("/a/x.gz"), was).apply(host)


def test_memory_produces_and_refuses():
    host = filled()
    change = Produce(Path("/a/out"), lambda path: path.write_text("made"), mode=0o640)
    change.apply(host)
    assert (host.read(Path("/a/out")), host.stat(Path("/a/out")).mode, change.cell.get()) == (b"made", 0o640, 4)

    def refuse(path: Path) -> None:
        path.write_text("bad")
        raise TaskFailed("the gate says no")

    with pytest.raises(TaskFailed, match="gate"):
        Produce(Path("/a/other"), refuse).apply(host)
    assert host.stat(Path("/a/other")) is None


def test_memory_answers_in_turn():
    host = filled()
    assert [host.probe(["git", "rev-parse", "HEAD"]).stdout for _ in range(3)] == ["abc\n", "def\n", "def\n"]
    run = Run(RunCommand(("git", "rev-parse", "HEAD")))
    run.apply(host)
    assert run.cell.get().stdout == "def\n"
    request = Request(Exchange("POST", "http://x/reload"))
    request.apply(host)
    assert request.cell.get().status == 200
    with pytest.raises(TaskFailed, match="no answer"):
        host.ask(Exchange("GET", "http://x/health"))


def test_memory_has_file_systems():
    host = filled()
    assert (host.usage(Path("/mnt/data")).free, host.usage(Path("/a")).total) == (6, 100 * 10**9)
    assert host.mounts() == [Path("/"), Path("/mnt/data")]
    Write(Path("/mnt/data/x"), b"").apply(host)
    assert host.usage(Path("/mnt/data/x")).free == 6
    assert [found.path for found in host.find(Path("/mnt"))] == [Path("/mnt/data")]


def test_an_overlay_of_memory_leaves_it_alone():
    host = filled()
    above = Overlay(host, imagined=True)
    Remove(Path("/a/x"), above.stat(Path("/a/x"))).apply(above)
    assert (above.stat(Path("/a/x")), host.read(Path("/a/x"))[:4]) == (None, b"text")


def test_memory_reads_as_a_real_machine_does(tmp_path):
    """The same few questions to both; what they say to what is missing or wrong is the same, word for word."""
    now = datetime(2026, 3, 10, tzinfo=UTC)
    real, memory = LocalHost(now=now, cwd=tmp_path, env={}, run_id="x", umask=0o022), MemoryHost(now=now)
    said = []
    for host, root in ((real, tmp_path), (memory, Path("/"))):
        for change in (
            MakeFolder(root / "d", 0o750),
            Write(root / "d/f", b"1"),
            Write(root / "d/g", b"22", mode=0o600),
        ):
            change.apply(host)
        said.append([answer(host, root, question) for question in QUESTIONS])
    assert said[0] == said[1]


QUESTIONS = (
    lambda host, root: [
        (str(f.path.relative_to(root)), f.stat.kind, f.stat.mode) for f in host.find(root / "d", recursive=True)
    ],
    lambda host, root: host.read(root / "d/f"),
    lambda host, root: host.read(root / "none"),
    lambda host, root: host.read(root / "d"),
    lambda host, root: host.stat(root / "d/none"),
    lambda host, root: host.find(root / "none"),
    lambda host, root: host.find(root / "d/f"),
    lambda host, root: host.readlink(root / "d/f"),
    lambda host, root: host.sha256(root / "d/g"),
    lambda host, root: MakeFolder(root / "no/deep").apply(host),
    lambda host, root: Remove(root / "d", host.stat(root / "d")).apply(host),
)


def answer(host: Host, root: Path, question) -> str:
    try:
        return str(question(host, root))
    except TaskFailed as error:
        return error.message.replace(f"{root}/" if str(root) != "/" else "/", "/")


def test_a_playbook_is_played_in_memory(tmp_path):
    (tmp_path / "book.yml").write_text(
        "- hosts: localhost\n"
        "  inputs: {where: {type: path, required: true}}\n"
        "  steps:\n"
        '    - files.directory: {path: "{{ where }}"}\n'
        '    - files.present: {path: "{{ where }}/{{ item }}", content: x}\n'
        "      loop: [a, b]\n"
    )
    plan = plan_of(tmp_path / "book.yml", {"where": "/only/in/memory"})
    host = MemoryHost()
    check = play(plan, mode="check", host=host, now=host.now)
    assert host.find(Path("/"), recursive=True) == []
    run = play(plan, host=host, now=host.now)
    assert changes_of(run) == changes_of(check)
    assert [change["kind"] for change in changes_of(run)] == ["make folder"] * 3 + ["write"] * 2
    assert host.read(Path("/only/in/memory/b")) == b"x"
    assert changes_of(play(plan, host=host, now=host.now)) == []
    assert not Path("/only").exists()
