import textwrap
import time

import pytest

from runbook.errors import Invalid, Problems, Where
from runbook.playbook import (
    KEYWORDS,
    Block,
    Include,
    LoopControl,
    Step,
    find_playbook,
    load_playbook,
    load_steps_file,
    parse_steps,
    shipped_playbooks,
)
from runbook.playbook.keywords import IGNORED, INCLUDES, REFUSED
from runbook.playbook.kinds import KINDS
from runbook.source import parse_document

TASKS = {"debug", "command", "shell", "fail", "files.present", "files.prune", "ansible.builtin.command", "include_vars"}


def is_task(name):
    return name in TASKS


@pytest.fixture
def load(tmp_path):
    def load(text, **others):
        for name, other in others.items():
            (tmp_path / f"{name}.yml").write_text(textwrap.dedent(other))
        (tmp_path / "x.yml").write_text(textwrap.dedent(text))
        return load_playbook(tmp_path / "x.yml", is_task=is_task, label="x.yml")

    return load


@pytest.fixture
def problems(load):
    def problems(text, **others):
        with pytest.raises(Problems) as caught:
            load(text, **others)
        return [(p.where.line, p.where.column, p.message, p.hint or "") for p in caught.value.problems]

    return problems


def step_of(text):
    document = parse_document(textwrap.dedent(text), "s.yml")
    found = []
    items = parse_steps(document, document.value, (), is_task=is_task, problems=found)
    assert found == []
    return items[0]


def step_problems(text):
    document = parse_document(textwrap.dedent(text), "s.yml")
    found = []
    parse_steps(document, document.value, (), is_task=is_task, problems=found)
    return [(p.where.line, p.where.column, p.message, p.hint or "") for p in found]


def test_a_play_keeps_everything_that_is_written(load):
    playbook = load("""
        - name: upkeep
          hosts: [web, "!web3"]
          inputs: {path: {type: path, required: true}}
          vars: {colour: "{{ hue }}"}
          vars_files: one.yml
          env_files: [.env]
          serial: [1, 30%]
          max_fail_percentage: 20
          any_errors_fatal: true
          tags: a, b
          when: x is defined
          environment: {OMP_NUM_THREADS: "1"}
          check_mode: false
          diff: true
          no_log: "{{ quiet }}"
          ignore_errors: true
          timeout: 5m
          force_handlers: true
          lock: health
          pre_tasks: [{debug: {msg: first}}]
          steps: [{debug: {msg: second}}]
          post_tasks: [{debug: {msg: third}}]
          handlers: [{name: h, debug: {}}, {listen: topic, debug: {}}]
    """)
    (play,) = playbook.plays
    assert play.name == "upkeep"
    assert play.hosts == ["web", "!web3"]
    assert play.inputs["path"].required
    assert play.vars == {"colour": "{{ hue }}"}
    assert play.vars_files == ["one.yml"]
    assert play.env_files == [".env"]
    assert play.serial == [1, "30%"]
    assert play.max_fail_percentage == 20
    assert play.tags == ["a", "b"]
    assert play.when == ["x is defined"]
    assert play.environment == {"OMP_NUM_THREADS": "1"}
    assert (play.any_errors_fatal, play.check_mode, play.diff, play.force_handlers) == (True, False, True, True)
    assert (play.no_log, play.ignore_errors, play.timeout, play.lock) == ("{{ quiet }}", True, 300.0, "health")
    assert [step.params["msg"] for step in play.steps] == ["first", "second", "third"]
    assert [handler.listen for handler in play.handlers] == [[], ["topic"]]
    assert play.where == Where("x.yml", 2, 3)
    assert play.steps[0].where == Where("x.yml", 21, 15)
    assert len(playbook.document.sha256) == 64
    assert playbook.notes == []


def test_a_step_keeps_everything_that_is_written():
    step = step_of("""
        - name: wait
          command: uptime
          vars: {a: 1}
          when: [a == 1, true]
          loop: [1, 2]
          loop_control: {loop_var: each, index_var: i, label: "{{ each }}", pause: 1s, extended: true}
          register: out
          until: out.rc == 0
          retries: "{{ tries }}"
          delay: 2
          changed_when: false
          failed_when: [out.rc != 0]
          notify: h
          tags: [x]
          delegate_to: localhost
          run_once: true
          timeout: 90
    """)
    assert isinstance(step, Step)
    assert (step.task, step.params, step.params_path) == ("command", "uptime", (0, "command"))
    assert step.when == ["a == 1", True]
    assert step.loop == [1, 2]
    assert step.loop_control == LoopControl("each", "i", "{{ each }}", 1.0, extended=True)
    assert (step.register, step.until, step.retries, step.delay) == ("out", ["out.rc == 0"], "{{ tries }}", 2.0)
    assert (step.changed_when, step.failed_when, step.notify) == ([False], ["out.rc != 0"], ["h"])
    assert (step.tags, step.delegate_to, step.run_once, step.timeout) == (["x"], "localhost", True, 90.0)


def test_what_is_not_written_is_none_or_empty():
    step = step_of("- debug: {msg: hi}")
    assert (step.name, step.loop, step.register, step.retries, step.no_log, step.timeout) == (None,) * 6
    assert (step.when, step.tags, step.notify, step.until, step.vars) == ([], [], [], [], {})


@pytest.mark.parametrize(
    ("keyword", "value", "kind"),
    [("loop", "[1]", "list"), ("with_list", "[1]", "list"), ("with_items", '"{{ xs }}"', "items"), ("with_dict", "{a: 1}", "dict")],
)  # fmt: skip
def test_every_way_to_loop_is_a_loop(keyword, value, kind):
    step = step_of(f"- debug: {{}}\n  {keyword}: {value}")
    assert step.loop_kind == kind
    assert step.loop is not None
    assert step.loop_keyword == keyword


def test_blocks_hold_steps():
    block = step_of("""
        - name: b
          when: x
          block: [{debug: {}}, {block: [{fail: {}}]}]
          rescue: [{debug: {}}]
          always: [{command: date}]
    """)
    assert isinstance(block, Block)
    assert [type(item) for item in block.block] == [Step, Block]
    assert block.block[1].block[0].path == (0, "block", 1, "block", 0)
    assert (len(block.rescue), len(block.always), block.when) == (1, 1, ["x"])


@pytest.mark.parametrize("prefix", ["", "ansible.builtin.", "core."])
def test_includes_and_imports(prefix):
    include = step_of(f"""
        - {prefix}include_tasks: {{file: "{{{{ os }}}}.yml", apply: {{tags: [a], when: x}}}}
          vars: {{a: 1}}
          loop: [1]
          tags: b
    """)
    assert isinstance(include, Include)
    assert (include.kind, include.file, include.vars, include.loop) == ("include", "{{ os }}.yml", {"a": 1}, [1])
    assert (include.apply.tags, include.apply.when) == (["a"], ["x"])
    assert include.file_path == (0, f"{prefix}include_tasks", "file")
    imported = step_of(f"- {prefix}import_steps: more.yml\n  when: x")
    assert (imported.kind, imported.file, imported.when) == ("import", "more.yml", ["x"])
    assert imported.file_path == (0, f"{prefix}import_steps")


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("- wehn: x\n  debug: {}", (1, 3), "'wehn' is no keyword of a step", "did you mean 'when'?"),
        ("- debug: {}\n  regsiter: x", (2, 3), "'regsiter' is no keyword", "'register'"),
        ("- debug: {}\n  command: x", (2, 3), "two tasks in a step: 'debug' and 'command'", "step of its own"),
        ("- a.one: {}\n  b.two: {}", (2, 3), "two tasks in a step: 'a.one' and 'b.two'", "step of its own"),
        ("- debug: {}\n  msg: hi", (2, 3), "'msg' is neither a keyword nor a task", "indent it"),
        ("- name: nothing", (1, 3), "this step has no task", "command"),
        ("- just text", (1, 3), "a step is a mapping", "task"),
        ("- debug: {}\n  retries: abc", (2, 12), "'retries' takes a whole number, not 'abc'", "retries: 3"),
        ("- debug: {}\n  retries: true", (2, 12), "'retries' takes a whole number, not true", "retries: 3"),
        ("- debug: {}\n  tags: {}", (2, 9), "'tags' takes a text, not a mapping", "write"),
        ("- debug: {}\n  tags: [a, 5]", (2, 13), "'tags' takes texts, not 5", "[one, two]"),
        ("- debug: {}\n  tags: a,,b", (2, 9), "an empty tag", "write"),
        ("- debug: {}\n  when: 5", (2, 9), "'when' takes an expression, not 5", "when: x == 1"),
        ("- debug: {}\n  when: []", (2, 9), "'when' is an empty list", "remove"),
        ("- debug: {}\n  when: [a, {b: c}]", (2, 13), "'when' takes an expression, not a mapping", "write"),
        ("- debug: {}\n  ignore_errors: 'true'", (2, 18), "takes true or false, not 'true'", "ignore_errors: true"),
        ("- debug: {}\n  delay: soon", (2, 10), "'delay' takes a time", "30s"),
        ("- debug: {}\n  timeout: -1", (2, 12), "'timeout' takes a time", "30s"),
        ("- debug: {}\n  register: my-var", (2, 13), "the name of a variable", "letters"),
        ("- debug: {}\n  name: 5", (2, 9), "'name' takes a text, not 5", 'name: "5"'),
        ("- debug: {}\n  vars: [a]", (2, 9), "'vars' takes a mapping", "write"),
        ("- debug: {}\n  vars: {my-var: 1}", (2, 10), "'my-var' is no name", "letters"),
        ("- debug: {}\n  environment: {A: [1]}", (2, 20), "'A' cannot stand in an environment", "text"),
        ("- debug: {}\n  loop: text", (2, 9), "'loop' takes a list", "loop: [a, b]"),
        ("- debug: {}\n  with_dict: [a]", (2, 14), "'with_dict' takes a mapping", "write"),
        ("- debug: {}\n  loop: [a]\n  with_items: [b]", (3, 3), "two loops", "keep one"),
        ("- debug: {}\n  loop_control: {}", (2, 3), "needs a loop", "loop:"),
        ("- debug: {}\n  loop: [1]\n  loop_control: {lop_var: x}", (3, 18), "has no 'lop_var'", "'loop_var'"),
        ("- debug: {}\n  loop: [1]\n  loop_control: {loop_var: 5}", (3, 28), "name of a variable", "letters"),
        ("- debug: {}\n  listen: x", (2, 3), "'listen' cannot stand on a step", "handler"),
        ("- debug: msg=hi there=1", (1, 10), "no text of the form k=v", "debug: {msg: hi, there: 1}"),
        ("- debug: [a]", (1, 10), "'debug' takes a mapping of params", "{param: value}"),
        ("- meta: flush_handler", (1, 9), "does not know 'flush_handler'", "'flush_handlers'"),
        ("- rescue: []", (1, 3), "'rescue' needs a 'block'", "block"),
        ("- block: []", (1, 10), "'block' is empty", "write"),
        ("- block: [{debug: {}}]\n  loop: [1]", (2, 3), "'loop' cannot stand on a block", "step, include"),
        ("- block: [{debug: {}}]\n  reskue: []", (2, 3), "'reskue' is no keyword of a block", "'rescue'"),
        ("- include_steps: {file: a.yml, aply: {}}", (1, 32), "has no 'aply'", "apply"),
        ("- include_steps: 5", (1, 18), "the name of a file", "steps.yml"),
        ("- include_steps: a.yml\n  register: x", (2, 3), "'register' cannot stand on an include", "step"),
        ("- include_steps: {file: a.yml, apply: {blok: 1}}", (1, 40), "no keyword of a block", "'block'"),
        ("- import_steps: a.yml\n  loop: [1]", (2, 3), "'loop' cannot stand on an import", "include"),
        ("- import_steps: {file: a.yml, apply: {}}", (1, 31), "has no 'apply'", "beside it"),
        ("- debug: {}\n  become: true", (2, 3), "'become' is not supported", "as the user"),
        ("- debug: {}\n  async: 5", (2, 3), "'async' is not supported", "timeout"),
        ("- local_action: debug", (1, 3), "'local_action' is not supported", "delegate_to: localhost"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_step_is_shown_where_it_stands(text, place, message, hint):
    (found,) = step_problems(text)
    assert found[:2] == place
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize("text", ["- command: echo a=b", "- ansible.builtin.command: x=1 true", "- shell: a=1; echo $a",
                                  "- include_vars: x.yml", "- meta: noop", "- debug:", "- unknown.task: {a: 1}"])  # fmt: skip
def test_texts_that_are_params(text):
    assert isinstance(step_of(text), Step)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("- steps: [{debug: {}}]\n", (1, 3), "this play has no hosts", "hosts: all"),
        ("- hosts: []\n  steps: [{debug: {}}]\n", (1, 10), "a play needs hosts", "hosts: all"),
        ("- hosts: all\n", (1, 3), "this play has no steps", "steps:"),
        ("- hosts: all\n  steps: []\n", (2, 10), "'steps' is empty", "write"),
        ("- hosts: all\n  steps:\n", (2, 9), "'steps' is empty", "write"),
        ("- hosts: all\n  steps: {debug: {}}\n", (2, 10), "'steps' takes a list of steps", "write"),
        ("hosts: all\n", (1, 1), "a playbook is a list of plays", "- hosts"),
        ("- text\n", (1, 3), "a play is a mapping", "- hosts"),
        ("- hosts: all\n  stesp: []\n  steps: [{debug: {}}]\n", (2, 3), "no keyword of a play", "'steps'"),
        ("- hosts: all\n  register: x\n  steps: [{debug: {}}]\n", (2, 3), "cannot stand on a play", "step"),
        ("- hosts: all\n  roles: [a]\n  steps: [{debug: {}}]\n", (2, 3), "'roles' is not supported", "include_steps"),
        ("- hosts: all\n  vars_prompt: []\n  steps: [{debug: {}}]\n", (2, 3), "not supported", "inputs"),
        ("- hosts: all\n  serial: 0\n  steps: [{debug: {}}]\n", (2, 11), "'serial' takes", "30%"),
        ("- hosts: all\n  serial: [1, 0%]\n  steps: [{debug: {}}]\n", (2, 15), "'serial' takes", "30%"),
        ("- hosts: all\n  max_fail_percentage: 101\n  steps: [{debug: {}}]\n", (2, 24), "0 to 100", "30"),
        ("- hosts: all\n  lock: '{{ x }}'\n  steps: [{debug: {}}]\n", (2, 9), "one literal word", "letters"),
        ("- hosts: all\n  inputs: [a]\n  steps: [{debug: {}}]\n", (2, 11), "'inputs' takes a mapping", "type"),
        ("- hosts: all\n  steps: [{debug: {}}]\n  tasks: [{debug: {}}]\n", (3, 3), "another word", "keep one"),
        ("- hosts: all\n  steps: [{debug: {}}]\n  handlers: [{debug: {}}]\n", (3, 14), "nothing can notify", "listen"),
        ("- import_playbook: gone.yml\n", (1, 20), "there is no playbook", "relative"),
        ("- import_playbook: '{{ x }}.yml'\n", (1, 20), "a literal path", "other.yml"),
        ("- import_playbook: x.yml\n", (1, 20), "imports itself: x.yml → x.yml", "remove"),
        ("- import_playbook: gone.yml\n  hosts: all\n", (1, 20), "there is no playbook", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_play_is_shown_where_it_stands(problems, text, place, message, hint):
    found = problems(text)[0]
    assert found[:2] == place
    assert message in found[2]
    assert hint in found[3]


def test_everything_wrong_is_told_at_once_across_files(problems):
    found = problems(
        """
        - hosts: all
          steps:
            - debug: {}
              wehn: x
            - debug: {}
              retries: many
              delay: soon
        - import_playbook: other.yml
        """,
        other="- hosts: all\n  steps: [{name: nothing}]\n  serail: 1\n",
    )
    assert [(line, column) for line, column, *_ in found] == [(2, 11), (3, 3), (5, 7), (7, 16), (8, 14)]


def test_the_yaml_of_an_imported_file_is_checked_too(problems):
    found = problems("- import_playbook: other.yml\n", other="- hosts: all\n  steps: yes\n")
    assert found[0][:2] == (2, 10)


def test_keywords_without_effect_are_noted(load):
    playbook = load("""
        - hosts: all
          gather_facts: false
          connection: local
          become: false
          steps:
            - debug: {}
              become: false
    """)
    assert [(where.line, text.split("'")[1]) for where, text in playbook.notes] == [
        (3, "gather_facts"), (4, "connection"), (5, "become: false"), (8, "become: false")]  # fmt: skip


def test_an_import_gives_its_vars_conditions_and_tags_to_the_plays_below(load):
    playbook = load(
        """
        - import_playbook: middle.yml
          vars: {a: outer, b: outer}
          when: [first, second]
          tags: [t]
        """,
        middle="- import_playbook: inner.yml\n  vars: {a: middle, c: middle}\n  when: third\n",
        inner="- hosts: all\n  vars: {a: inner, d: inner}\n  when: fourth\n  tags: u\n  steps: [{debug: {}}]\n",
    )
    (play,) = playbook.plays
    assert play.vars == {"a": "outer", "b": "outer", "c": "middle", "d": "inner"}
    assert play.when == ["first", "second", "third", "fourth"]
    assert play.tags == ["t", "u"]
    places = [play.origin("when", index) for index in range(4)]
    assert [(document.file, path) for document, path in places] == [
        ("x.yml", (0, "when", 0)), ("x.yml", (0, "when", 1)), ("middle.yml", (0, "when")), ("inner.yml", (0, "when"))]  # fmt: skip
    assert [play.origin("vars", name)[0].file for name in "abcd"] == ["x.yml", "x.yml", "middle.yml", "inner.yml"]
    assert play.problem("no", "vars", "c").where == Where("middle.yml", 2, 24)
    assert play.document.file == "inner.yml"


def test_the_problem_of_a_value_in_its_one_form_is_shown_where_it_is_written():
    step = step_of("- debug: {}\n  when: a\n  tags: [b, c]\n")
    assert step.problem("no", "when", 0, offset=0).where == Where("s.yml", 2, 9)
    assert step.problem("no", "tags", 1).where == Where("s.yml", 3, 13)
    assert step.problem("no", "tags", key=True).where == Where("s.yml", 3, 3)
    assert step.problem("no").where == Where("s.yml", 1, 3)


def test_a_file_of_steps(tmp_path):
    file = tmp_path / "steps.yml"
    file.write_text("- debug: {}\n- command: date\n")
    document, items = load_steps_file(file, is_task=is_task, label="steps.yml")
    assert document.file == "steps.yml"
    assert [item.task for item in items] == ["debug", "command"]
    file.write_text("hosts: all\n")
    with pytest.raises(Problems, match="a file of steps takes a list"):
        load_steps_file(file, is_task=is_task)


def test_the_table_of_keywords_is_whole():
    assert all(keyword.doc.endswith(".") for keyword in KEYWORDS)
    assert {keyword.kind for keyword in KEYWORDS} - set(KINDS) == {"steps", "handlers", "inputs"}
    names = [keyword.name for keyword in KEYWORDS]
    assert len(set(names)) == len(names)
    assert set(names).isdisjoint({*IGNORED, *REFUSED, *INCLUDES})


def test_playbooks_are_found_by_path_and_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "daily.yml").write_text("[]")
    (tmp_path / "own.yaml").write_text("[]")
    assert str(find_playbook("daily")) == "playbooks/daily.yml"
    assert str(find_playbook("daily.yml")) == "playbooks/daily.yml"
    assert str(find_playbook("own")) == "own.yaml"
    assert find_playbook(str(tmp_path / "own.yaml")) == tmp_path / "own.yaml"
    with pytest.raises(Invalid, match="there is no playbook 'dayly'") as caught:
        find_playbook("dayly")
    assert caught.value.hint.startswith("did you mean 'daily'?; there are: ")
    assert "own" in caught.value.hint


def test_shipped_playbooks_are_files():
    for name, path in shipped_playbooks().items():
        assert path.is_file()
        assert find_playbook(name).name == path.name


def test_ten_thousand_steps_are_read_in_half_a_second():
    step = "- name: step {0}\n  files.present:\n    path: /tmp/{0}\n  when: x is defined\n  tags: [a, b]\n"
    document = parse_document("".join(step.format(i) for i in range(10_000)), "x.yml")
    started = time.process_time()
    items = parse_steps(document, document.value, (), is_task=is_task, problems=[])
    assert time.process_time() - started < 0.5  # 0.1 s on a quiet machine
    assert len(items) == 10_000
