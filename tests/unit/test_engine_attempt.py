"""Attempts at a step: what an earlier one changed is not forgotten, and a plan does not look into its own future."""

from playing import Folder

PLUGIN = """
from pathlib import Path
from runbook.changes import Produce, Run, RunCommand, Write
from runbook.errors import TaskFailed
from runbook.task import Params, task

class To(Params):
    path: Path

tries = []

def at_the_second_try(path):
    tries.append(path)
    if len(tries) < 2:
        raise TaskFailed("not yet")
    path.write_bytes(b'2')

@task
def halting(want: To, host):
    '''Write one file, and make another, which fails the first time.'''
    if host.stat(want.path / 'one') is None:
        yield Write(want.path / 'one', b'1')
    if host.stat(want.path / 'two') is None:
        yield Produce(want.path / 'two', at_the_second_try)

@task(kind="action")
def peeks(want: To, host):
    '''Look at the outcome of what it has only planned.'''
    run = Run(RunCommand(("true",)))
    yield run
    if run.outcome.rc == 0:
        return {"rc": 0}

@task
def reads_its_own(want: To, host):
    '''Read what it will produce.'''
    yield Produce(want.path / 'made', lambda path: path.write_bytes(b'x'))
    host.read(want.path / 'made')
"""


def played(tmp_path, steps, *words, **keywords):
    folder = Folder(tmp_path)
    folder.plugin("odd", PLUGIN)
    folder.book(steps, **keywords)
    return folder.play(*words)


def test_what_a_failed_attempt_has_changed_notifies_and_is_reported(tmp_path):
    (tmp_path / "d").mkdir()
    steps = [
        {
            "name": "halting",
            "odd.halting": {"path": str(tmp_path / "d")},
            "retries": 1,
            "delay": 0,
            "register": "r",
            "notify": "tell",
        },
        {"assert": {"that": ["r is changed"]}},
    ]
    ended = played(tmp_path, steps, handlers=[{"name": "tell", "debug": {"msg": "told"}}])
    step = ended.report["steps"][0]
    assert [change["target"].rpartition("/")[2] for change in step["changes"] if change["applied"]] == ["one", "two"]
    assert ended.code == 0, ended.out
    assert "told" in ended.out


def test_a_plan_that_looks_at_its_own_outcome_fails_in_a_run_and_is_unsure_in_a_check(tmp_path):
    for task in ("peeks", "reads_its_own"):
        steps = [{f"odd.{task}": {"path": str(tmp_path)}}]
        ended = played(tmp_path, steps)
        assert ended.code == 1
        assert "its own changes will tell" in ended.report["steps"][0]["error"]["message"]
        assert not (tmp_path / "made").exists()
        checked = played(tmp_path, steps, "--check")
        assert checked.code == 0
        assert checked.report["steps"][0]["status"] == "unsure"
