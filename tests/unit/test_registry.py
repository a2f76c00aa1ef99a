"""From a step's key to a task: shipped, a user's own, and what is said when there is none."""

from __future__ import annotations

import sys

import pytest

from runbook.errors import Invalid
from runbook.registry import Registry

PLUGIN = '''
from runbook.task import Params, task

class Nothing(Params):
    """Nothing."""

@task(kind="{kind}")
def {name}(want: Nothing, host):
    """{doc}"""
    return []
'''


@pytest.fixture
def own(tmp_path):
    def write(domain, name="mine", doc="Do it.", kind="state"):
        (tmp_path / f"{domain}.py").write_text(PLUGIN.format(name=name, doc=doc, kind=kind))
        return Registry([tmp_path])

    return write


@pytest.mark.parametrize("name", ["copy", "core.copy", "ansible.builtin.copy"])
def test_a_core_task_has_three_names(name):
    assert Registry().spec(name).name == "copy"


def test_every_listed_task_can_be_had_and_says_what_it_does():
    registry = Registry()
    for summary in registry.summaries():
        spec = registry.spec(summary.name)
        assert (spec.name, spec.kind) == (summary.name, summary.kind)
        assert spec.doc.startswith(summary.line)
        assert summary.line
        for name, info in spec.params.model_fields.items():
            assert info.description, f"{spec.name}: {name} has no description"


def test_a_users_own_task_is_found_first(own):
    registry = own("files", "prune", "Mine.")
    assert registry.spec("files.prune").doc == "Mine."
    assert registry.spec("files.present").doc != "Mine.", "the shipped ones of the domain are still there"


def test_an_unknown_task_names_the_nearest(own):
    with pytest.raises(Invalid) as caught:
        own("notes").spec("files.presnt")
    assert "files.present" in caught.value.hint
    with pytest.raises(Invalid, match=r"unknown task 'nothing\.at_all'"):
        Registry().spec("nothing.at_all")


@pytest.mark.parametrize("name", ["../x.y", ".", "files.", ".files", "a.b.c", "", "files.__class__"])
def test_a_name_that_is_none_is_an_unknown_task(name):
    with pytest.raises(Invalid, match="unknown task"):
        Registry().spec(name)


def test_a_plugin_that_cannot_be_imported_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_like_this\n")
    with pytest.raises(Invalid, match="nothing_like_this"):
        Registry([tmp_path]).spec("broken.task")
    assert not [name for name in sys.modules if name.endswith("_broken")]


def test_a_plugin_without_params_or_docstring_is_refused(tmp_path):
    (tmp_path / "odd.py").write_text("from runbook.task import task\n@task\ndef one(want, host):\n    'Doc.'\n")
    with pytest.raises(Invalid, match="Params"):
        Registry([tmp_path]).spec("odd.one")


def test_the_shipped_folder_is_nobodys_own():
    from runbook.registry import shipped_folder

    for name in ("files.present", "http.check"):
        assert Registry([shipped_folder()]).spec(name).function.__module__.startswith("runbook.tasks.")
