"""From a playbook to a plan: batches, names that may be defined by then, and who can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.hosts import load_inventory
from runbook.plan.compile import Request, compile_plan
from runbook.plan.model import Plan
from runbook.playbook import load_playbook
from runbook.registry import Registry


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a function that compiles a playbook, for as many hosts of this machine as are asked for."""
    monkeypatch.chdir(tmp_path)

    def made(text: str, *, hosts: int = 0, **files: str) -> Plan:
        inventory = None
        if hosts:
            inventory = Path("inventory.yml")
            inventory.write_text(f"all:\n  vars: {{ansible_connection: local}}\n  hosts: {{'h[1:{hosts}]': }}\n")
        for name, content in files.items():
            Path(f"{name}.yml").write_text(content)
        Path("playbook.yml").write_text(text)
        registry = Registry([])
        book = load_playbook(Path("playbook.yml"), is_task=registry.is_task)
        return compile_plan(book, load_inventory(inventory, tmp_path), registry, Request(Path("playbook.yml")))

    return made


@pytest.mark.parametrize(
    ("serial", "sizes"),
    [
        ('[1, "30%", 5]', [1, 3, 5, 1]),
        ("3", [3, 3, 3, 1]),
        ('"1%"', [1] * 10),
        ('"25%"', [2] * 5),
        ("20", [10]),
        ('"{{ n }}"', [4, 4, 2]),
        ("['{{ n }}', 6]", [4, 6]),
    ],
)
def test_batches(plan, serial: str, sizes: list[int]) -> None:
    made = plan(f"- hosts: all\n  vars: {{n: 4}}\n  serial: {serial}\n  steps: [{{debug: }}]\n", hosts=10)
    assert [len(batch) for batch in made.plays[0].batches] == sizes
    assert [name for batch in made.plays[0].batches for name in batch] == [f"h{n}" for n in range(1, 11)]


@pytest.mark.parametrize(
    "steps",
    [
        "- {debug: {msg: '{{ x }}'}, when: x is defined}",
        "- {debug: {msg: '{{ x }}'}, when: [x is defined, x > 1]}",
        "- {debug: {msg: '{{ x | default(1) }}'}}",
        "- {debug: {msg: '{{ x if x is defined else 2 }}'}}",
        "- {when: x is defined, block: [{debug: {msg: '{{ x }}'}}]}",
        "- {include_steps: one.yml, when: x is defined}",
        "- {include_steps: one.yml, vars: {x: 1}}",
        "- {import_steps: one.yml, vars: {x: 1}}",
        "- {include_steps: one.yml, loop: [1], loop_control: {loop_var: x}}",
        "- {include_steps: one.yml, vars: {x: '{{ item }}'}, loop: [1], when: item > 1}",
        "- {command: x, register: x, until: x.rc == 0}\n    - debug: {msg: '{{ x }}'}",
        "- {set_fact: {x: 1}, when: false}\n    - debug: {msg: '{{ x }}'}",
        "- {include_vars: vars.yml}\n    - debug: {msg: '{{ x }}'}",
        "- {include_vars: {file: vars.yml, name: all}}\n    - debug: {msg: '{{ all.x }}'}",
        "- {debug: {msg: '{{ x }}'}, vars: {x: '{{ later | default(1) }}'}}",
        "- {block: [{fail: }], rescue: [{debug: {msg: '{{ ansible_failed_task.name }}'}}]}",
        "- {debug: {msg: '{% for x in [1] %}{{ x }}{% endfor %}'}}",
        "- {debug: {msg: '{{ hostvars.localhost.anything }} {{ facts.os }} {{ omit }}'}}",
    ],
)
def test_names_that_are_defined_by_then(plan, steps: str) -> None:
    files = {"one": "- debug: {msg: '{{ x }}'}\n", "vars": "x: 1\n"}
    assert plan(f"- hosts: localhost\n  steps:\n    {steps}\n", **files).plays


@pytest.mark.parametrize(
    "steps",
    [
        "- {debug: {msg: '{{ x }}'}, when: y is defined}",
        "- {debug: {msg: '{{ x }}'}, when: x is not defined}",
        "- {include_steps: one.yml}",
        "- {include_steps: one.yml, vars: {x: 1}}\n    - debug: {msg: '{{ x }}'}",
        "- {debug: , loop: [1], loop_control: {loop_var: x}}\n    - debug: {msg: '{{ x }}'}",
        "- debug: {msg: '{{ x }}'}\n    - {command: x, register: x}",
        "- {include_vars: {file: vars.yml, name: all}}\n    - debug: {msg: '{{ x }}'}",
        "- {debug: {msg: '{{ y }}'}, vars: {y: '{{ x }}'}}",
        "- debug: {msg: '{{ ansible_failed_task }} {{ x }}'}",
    ],
)
def test_names_that_are_not(plan, steps: str) -> None:
    files = {"one": "- debug: {msg: '{{ x }}'}\n", "vars": "x: 1\n"}
    with pytest.raises(RunbookError) as error:
        plan(f"- hosts: localhost\n  steps:\n    {steps}\n", **files)
    assert "the variable 'x' is not defined" in str(error.value)


@pytest.mark.parametrize(
    ("inventory", "keyword", "far"),
    [
        ("all: {hosts: {web1: }}", "", True),
        ("all: {hosts: {web1: {ansible_connection: ssh}}}", "", True),
        ("all: {hosts: {web1: {ansible_connection: local}}}", "", False),
        ("all: {vars: {ansible_connection: '{{ how }}', how: local}, hosts: {web1: }}", "", False),
        ("all: {hosts: {web1: }}", "connection: local", False),
        ("all: {hosts: {localhost: }}", "", False),
        ("all: {hosts: {localhost: {ansible_connection: ssh}}}", "", True),
    ],
)
def test_who_can_be_reached(plan, tmp_path: Path, inventory: str, keyword: str, far: bool) -> None:
    Path("inventory.yml").write_text(inventory)
    text = f"- hosts: all\n  {keyword}\n  steps: [{{debug: }}]\n"
    Path("playbook.yml").write_text(text)
    registry = Registry([])
    book = load_playbook(Path("playbook.yml"), is_task=registry.is_task)
    hosts = load_inventory(Path("inventory.yml"), tmp_path)
    if not far:
        assert compile_plan(book, hosts, registry, Request(Path("playbook.yml"))).plays
        return
    with pytest.raises(RunbookError) as error:
        compile_plan(book, hosts, registry, Request(Path("playbook.yml")))
    assert "cannot be reached from here" in str(error.value)


def test_sections_are_kept_apart_for_their_handlers(plan) -> None:
    made = plan("""\
- hosts: localhost
  pre_tasks: [{debug: }]
  tasks: [{debug: }, {debug: }]
  post_tasks: [{debug: }]
""")
    assert [len(section) for section in made.plays[0].sections] == [1, 2, 1]
    assert [step.index for _, step in made.steps] == [1, 2, 3, 4]


def test_an_env_file_may_be_an_input_that_was_not_given(plan) -> None:
    text = """
- hosts: localhost
  inputs: {env_file: {type: file}, more: {type: file}}
  env_files: ["{{ env_file }}"]
  vars_files: ["{{ more }}"]
  steps: [debug: {msg: "{{ API_KEY | default('none') }}"}]
"""
    assert len(plan(text).steps) == 1
    with pytest.raises(RunbookError, match="the name of the env file must be a text"):
        plan(text.replace("{{ env_file }}", "{{ 7 }}"))


def test_an_input_that_is_wrong_is_told_once_and_not_at_each_use(plan) -> None:
    text = """
- hosts: localhost
  inputs:
    folder: {type: dir, default: /nowhere/at/all}
    logs: {type: list, default: ["{{ folder }}/logs"]}
    env: {type: file, required: true}
  env_files: ["{{ env }}"]
  steps:
    - {find: {paths: "{{ folder }}"}, register: found}
    - {debug: {msg: "{{ logs }} {{ API_KEY }}"}}
    - {debag: }
- hosts: localhost
  steps: [{debug: {msg: "{{ found.matched }} {{ API_KEY }}"}}]
"""
    with pytest.raises(RunbookError) as caught:
        plan(text)
    said = [problem.message for problem in caught.value.problems]
    assert said == [
        "the input 'folder': there is no folder /nowhere/at/all",
        "the input 'env' is required",
        "unknown task 'debag'",
    ]
    assert caught.value.problems[0].hint == "pass it: -e folder=..."


def test_an_input_that_two_plays_lack_is_told_once(plan) -> None:
    one = """
- hosts: localhost
  inputs: {env: {type: file, required: true}, other%d: {type: file, default: none.env}}
  steps: [{debug: {var: env}}]
"""
    with pytest.raises(RunbookError) as caught:
        plan(one % 1 + one % 2)
    assert str(caught.value).count("the input 'env' is required") == 1
    assert str(caught.value).count("there is no file") == 2, "of inputs with names of their own each is told"


def test_a_number_where_a_text_belongs_is_told_how_it_is_written_as_one(plan) -> None:
    text = """
- hosts: localhost
  vars: {port: 8000}
  steps:
    - files.present: {path: /p, content: "{{ port }}"}
    - files.present: {path: /p, content: 8000}
    - files.present: {path: /p, content: true}
    - files.present: {path: /p, content: [8000]}
"""
    with pytest.raises(RunbookError) as caught:
        plan(text)
    assert [problem.hint for problem in caught.value.problems] == [
        "add `| string` to the expression",
        'write it in quotes: "8000"',
        'write it in quotes: "true"',
        None,
    ]
