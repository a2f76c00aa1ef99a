"""Law 4 through the real command: what is wrong ends with 4, is shown where it stands, and nothing was run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from runbook.cli.play import command
from runbook.errors import RunbookError

FILES = {
    "inventory.yml": "all:\n  vars: {ansible_connection: local}\n  hosts: {a: , b: }\n",
    "steps.yml": '- debug: {msg: "{{ absent }}"}\n',
    "vars.yml": 'colour: "{{ colour_of_sky }}"\n',
    "list.yml": "- 1\n",
    "far.yml": "all:\n  hosts: {web1: }\n",
    "page.j2": "{{ title }}\n{{ absent }}\n",
    "loop.yml": "- include_steps: loop.yml\n",
}
STEP = "- hosts: localhost\n  steps:\n    - {name: first, command: touch ran}\n"

# A name, the playbook, the words after it, where it is shown, and what is said (patterns).
CASES = [
    ("host", "- hosts: wbe\n  steps: [{debug: }]\n", [], "playbook.yml:1:10", "'wbe' matches no host"),
    ("limit", STEP, ["-l", "nobody"], "", "'nobody' matches no host"),
    (
        "limit that leaves none",
        STEP,
        ["-i", "inventory.yml", "-l", "a"],
        "",
        "none of the hosts of .a. is in the playbook",
    ),
    (
        "tag",
        STEP.replace("touch ran", "touch ran, tags: fast"),
        ["-t", "fats"],
        "",
        "no step has the tag 'fats'.*\n.*'fast'",
    ),
    ("skipped tag", STEP, ["--skip-tags", "fats"], "", "no step has the tag 'fats'"),
    ("-e", STEP, ["-e", "colour=red"], "", "-e colour: no input and no variable has this name"),
    (
        "far host",
        "- hosts: all\n  steps: [{debug: }]\n",
        ["-i", "far.yml"],
        "playbook.yml:1:10",
        "'web1' cannot be reached.*\n(.*\n)*.*ansible_connection: local",
    ),
    ("delegate", STEP + "    - {command: x, delegate_to: moon}\n", [], "playbook.yml:4:33", "there is no host 'moon'"),
    ("in a param", STEP + '    - debug: {msg: "{{ absent }}"}\n', [], "playbook.yml:4:24", "'absent' is not defined"),
    ("in when", STEP + "    - {debug: , when: absent > 1}\n", [], "playbook.yml:4:23", "'absent' is not defined"),
    ("in a loop", STEP + '    - {debug: , loop: "{{ absent }}"}\n', [], "playbook.yml:4:27", "'absent' is not defined"),
    (
        "in a name",
        STEP + '    - {debug: , name: "x {{ absent }}"}\n',
        [],
        "playbook.yml:4:29",
        "'absent' is not defined",
    ),
    (
        "in until",
        STEP + "    - {command: x, register: r, until: absent}\n",
        [],
        "playbook.yml:4:40",
        "'absent' is not defined",
    ),
    (
        "in environment",
        STEP + '    - {command: x, environment: {A: "{{ absent }}"}}\n',
        [],
        "playbook.yml:4:41",
        "'absent' is not defined",
    ),
    (
        "in rescue",
        "- hosts: localhost\n  steps:\n    - block: [{command: touch ran}]\n      rescue: [{debug: {msg: '{{ absent }}'}}]\n",
        [],
        "playbook.yml:4:34",
        "'absent' is not defined",
    ),
    (
        "in a handler",
        STEP
        + "      notify: tell\n  handlers:\n    - {name: tell, debug: {msg: '{{ absent }}'}}\n".replace(
            "      notify", "    - {command: x, notify: tell}\n#", 1
        ),
        [],
        "playbook.yml:7:37",
        "'absent' is not defined",
    ),
    ("in an include", STEP + "    - include_steps: steps.yml\n", [], "steps.yml:1:20", "'absent' is not defined"),
    (
        "in a vars file",
        "- hosts: localhost\n  vars_files: [vars.yml]\n  steps: [{debug: {msg: '{{ colour }}'}}]\n",
        [],
        "vars.yml:1:13",
        "'colour_of_sky' is not defined",
    ),
    (
        "in a template file",
        "- hosts: localhost\n  vars: {title: x}\n  steps:\n    - command: touch ran\n    - template: {src: page.j2, dest: /nowhere/x}\n",
        [],
        "page.j2:2:4",
        "'absent' is not defined",
    ),
    (
        "set later",
        STEP + "    - debug: {msg: '{{ late.stdout }}'}\n    - {command: x, register: late}\n",
        [],
        "playbook.yml:4:24",
        "'late' is not defined",
    ),
    (
        "left out by tags",
        STEP.replace("touch ran", "touch ran, register: r") + "    - {debug: {msg: '{{ r.rc }}'}, tags: t}\n",
        ["-t", "t"],
        "playbook.yml:4:25",
        "(?s)'r' is not defined.*left out by --tags",
    ),
    (
        "duplicate key",
        STEP + "      command: x\n      name: y\n".replace("      command", "    - command", 1) + "      name: z\n",
        [],
        "playbook.yml:6:7",
        "'name'",
    ),
    (
        "missing vars file",
        "- hosts: localhost\n  vars_files: [no.yml]\n  steps: [{command: touch ran}]\n",
        [],
        "playbook.yml:2:16",
        "no.yml",
    ),
    (
        "vars file that is a list",
        "- hosts: localhost\n  vars_files: [list.yml]\n  steps: [{command: touch ran}]\n",
        [],
        "list.yml",
        "must be a mapping",
    ),
    ("missing steps file", STEP + "    - include_steps: no.yml\n", [], "playbook.yml:4:22", "no.yml"),
    ("steps that include themselves", STEP + "    - include_steps: loop.yml\n", [], "loop.yml:1:18", "includes itself"),
    ("missing template", STEP + "    - template: {src: no.j2, dest: /nowhere/x}\n", [], "playbook.yml:4:23", "no.j2"),
    (
        "handler",
        STEP + "    - {command: x, notify: restrat}\n  handlers: [{name: restart, debug: }]\n",
        [],
        "playbook.yml:4:28",
        "(?s)no handler 'restrat'.*'restart'",
    ),
    (
        "two handlers of a name",
        STEP + "  handlers: [{name: x, debug: }, {name: x, debug: }]\n",
        [],
        "playbook.yml:4:41",
        "'x' of this handler is taken",
    ),
    (
        "unknown handler name",
        STEP + "    - {command: x, register: r}\n  handlers: [{name: '{{ r.rc }}', debug: }]\n",
        [],
        "playbook.yml:5:21",
        "not known before the run",
    ),
    ("type of a param", STEP + "    - stat: {path: [1]}\n", [], "playbook.yml:4:", "'path'"),
    (
        "type of a templated param",
        "- hosts: localhost\n  vars: {wait: soon}\n  steps:\n    - command: touch ran\n    - pause: {seconds: '{{ wait }}'}\n",
        [],
        "playbook.yml:5:24",
        "'seconds'",
    ),
    ("unknown param", STEP + "    - stat: {paht: x}\n", [], "playbook.yml:4:14", "(?s)no param 'paht'.*'path'"),
    ("missing param", STEP + "    - stat: {}\n", [], "playbook.yml:4:", "needs the param 'path'"),
    ("unknown task", STEP + "    - staat: {path: x}\n", [], "playbook.yml:4:7", "(?s)staat.*stat"),
    (
        "two tasks",
        STEP + "    - stat: {path: x}\n      debug: {msg: z}\n",
        [],
        "playbook.yml:5:7",
        "two tasks in a step: 'stat' and 'debug'",
    ),
    ("no task", STEP + "    - name: x\n", [], "playbook.yml:4:7", "no task"),
    ("keyword", STEP + "    - {stat: {path: x}, whne: true}\n", [], "playbook.yml:4:25", "(?s)'whne'.*'when'"),
    (
        "keyword elsewhere",
        STEP + "    - {stat: {path: x}, hosts: all}\n",
        [],
        "playbook.yml:4:25",
        "'hosts' cannot stand on a step",
    ),
    (
        "play keyword",
        "- hosts: localhost\n  tsaks: []\n  steps: [{debug: }]\n",
        [],
        "playbook.yml:2:3",
        "(?s)'tsaks'.*'tasks'",
    ),
    (
        "refused keyword",
        STEP + "      become: true\n".replace("      become", "    - {debug: , become", 1).replace("true\n", "true}\n"),
        [],
        "playbook.yml:4:17",
        "(?s)'become' is not supported.*run runbook as",
    ),
    (
        "when is no expression",
        STEP + "    - {debug: , when: a b c}\n",
        [],
        "playbook.yml:4:",
        "when|expected|expression",
    ),
    ("when with braces", STEP + "    - {debug: , when: '{{ true }}'}\n", [], "playbook.yml:4:23", "without braces"),
    ("when is a number", STEP + "    - {debug: , when: 3}\n", [], "playbook.yml:4:23", "takes an expression, not 3"),
    ("template that does not close", STEP + "    - debug: {msg: '{{ x '}\n", [], "playbook.yml:4:", "}}|end"),
    ("filter", STEP + "    - debug: {msg: '{{ 1 | uper }}'}\n", [], "playbook.yml:4:", "(?s)no filter 'uper'.*upper"),
    (
        "serial",
        "- hosts: localhost\n  vars: {n: many}\n  serial: '{{ n }}'\n  steps: [{command: touch ran}]\n",
        [],
        "playbook.yml:3:11",
        "serial must be a whole number",
    ),
    (
        "force_handlers",
        "- hosts: localhost\n  vars: {f: x}\n  force_handlers: '{{ f }}'\n  steps: [{command: touch ran}]\n",
        [],
        "playbook.yml:3:19",
        "force_handlers must be true or false",
    ),
    (
        "max_fail_percentage",
        "- hosts: localhost\n  vars: {f: x}\n  max_fail_percentage: '{{ f }}'\n  steps: [{command: touch ran}]\n",
        [],
        "playbook.yml:3:24",
        "max_fail_percentage must be a share",
    ),
    (
        "missing input",
        "- hosts: localhost\n  inputs: {path: {type: str, required: true}}\n  steps: [{command: touch ran}]\n",
        [],
        "playbook.yml:2:",
        "input 'path' is required",
    ),
    (
        "type of an input",
        "- hosts: localhost\n  inputs: {count: {type: int}}\n  steps: [{command: touch ran}]\n",
        ["-e", "count=many"],
        "",
        "-e count",
    ),
    (
        "a circle of variables",
        "- hosts: localhost\n  vars: {a: '{{ b }}', b: '{{ a }}'}\n  steps: [{command: touch ran}, {debug: {msg: '{{ a }}'}}]\n",
        [],
        "playbook.yml:3:",
        "made of itself: a -> b -> a",
    ),
    ("name of a register", STEP + "    - {command: x, register: none}\n", [], "playbook.yml:4:30", "'none'"),
    ("no playbook", "", [], "playbook.yml", ""),
    ("not YAML", "- hosts: [\n", [], "playbook.yml:", ""),
    ("time of day", STEP + "    - debug: {msg: 22:30}\n", [], "playbook.yml:4:20", "22:30"),
    ("yes", STEP + "    - debug: {msg: yes}\n", [], "playbook.yml:4:20", "yes"),
    ("braces without quotes", STEP + "    - debug: {msg: {{ x }}}\n", [], "playbook.yml:4:20", "must be quoted"),
]


@pytest.mark.parametrize(
    ("playbook", "words", "where", "said"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_nothing_is_run(
    playbook: str, words: list[str], where: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {**FILES, "playbook.yml": playbook}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    told = refused(*words)
    assert where in told
    assert re.search(said, told), told
    assert not Path("ran").exists()
    assert not list(Path("state").glob("runs/*")), "a run was recorded"
    if re.search(r":\d+:\d+$", where):
        assert re.search(r"\n +\| +\^", told), f"no caret: {told}"


def refused(*words: str) -> str:
    """Play in this process, and give what the command would say as it exits with 4."""
    with pytest.raises(RunbookError) as error:
        CliRunner().invoke(
            command, ["playbook.yml", "--state-dir", "state", *words], standalone_mode=False, catch_exceptions=False
        )
    assert error.value.exit_code == 4
    return str(error.value)


def test_by_the_command_itself(tmp_path: Path) -> None:
    (tmp_path / "playbook.yml").write_text(STEP + '    - debug: {msg: "{{ absnt }}"}\n  vars: {absent: 1}\n')
    argv = [sys.executable, "-m", "runbook", "play", "playbook.yml", "--state-dir", "state"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "runbook: playbook.yml:4:24: the variable 'absnt' is not defined\n"
        '    4 |     - debug: {msg: "{{ absnt }}"}\n'
        "      |                        ^\n"
        "  hint: did you mean 'absent'?\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["playbook.yml", "state"]


def test_everything_wrong_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbook.yml").write_text(
        dedent("""\
            - hosts: localhost
              steps:
                - debug: {msg: "{{ one }}"}
                - stat: {paht: x}
                - {command: x, notify: two}
                - {debug: , when: three}
            """)
    )
    lines = [int(line) for line in re.findall(r"^playbook\.yml:(\d+):", refused(), re.MULTILINE)]
    assert lines == [3, 4, 4, 5, 6]


def test_an_input_that_was_not_given_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbook.yml").write_text(
        dedent("""\
            - hosts: localhost
              inputs:
                path: {type: path, required: true}
                size: {type: size, default: 1MB}
                age: {type: age, default: 7d}
              steps:
                - debug: {msg: "{{ path }}"}
                - debug: {msg: "{{ path }}"}
            """)
    )
    told = refused()
    assert re.findall(r"^playbook\.yml:(\d+):", told, re.MULTILINE) == ["3"]
    assert "the input 'path' is required" in told
    both = refused("-e", "size=1", "-e", "age=x")
    assert "-e size: " in both
    assert "-e age: " in both


def test_what_the_command_line_says_is_told_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbook.yml").write_text(
        dedent("""
            - hosts: localhost
              inputs:
                count: {type: int, default: 1}
              steps:
                - debug: {msg: "{{ count }} {{ cuont }}"}
                - {debag: {msg: x}, tags: one}
            """)
    )
    told = refused("-e", "count=x", "-e", "other=1", "-l", "nobody")
    assert "-e count: 'x' is no whole number" in told
    assert "--limit: 'nobody' matches no host" in told
    assert "the variable 'cuont' is not defined" in told
    assert "unknown task 'debag'" in told
    assert "-e other: no input and no variable has this name" in told
    assert "the variable 'count' is not defined" not in told
    told = refused("-e", "count", "-t", "two")  # a word that is not understood could have set any name
    assert "-e count...: not understood" in told
    assert "--tags: no step has the tag 'two'" in told
    assert "'cuont' is not defined" not in told
