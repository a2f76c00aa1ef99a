"""What the engine does around steps, where a golden trace would say too little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbook.cli.play import command
from tests.runs import scenario

LOCAL = "all:\n  hosts:\n    a: {ansible_connection: local}\n    b: {ansible_connection: local}\n"


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a function that runs steps, or a whole playbook, and gives the outcome."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, *words: str, inventory: str | None = None) -> scenario.Outcome:
        if not text.startswith("- hosts"):
            text = "- hosts: localhost\n  steps:\n" + "".join(f"    {line}\n" for line in text.splitlines())
        Path("playbook.yml").write_text(text)
        if inventory:
            Path("inventory.yml").write_text(inventory)
        return scenario.run(list(words), tmp_path / "state")

    return run


def steps(outcome: scenario.Outcome) -> dict[str, Any]:
    return {step["name"]: step for step in outcome.report["steps"]}


@pytest.mark.parametrize("keyword", ["run_once", "ignore_errors", "any_errors_fatal", "no_log", "diff", "check_mode"])
def test_a_flag_must_be_true_or_false(play, keyword: str) -> None:
    done = play(f"- {{name: x, debug: , {keyword}: \"{{{{ 'maybe' }}}}\"}}")
    assert done.exit == 1
    message = "hidden by no_log" if keyword == "no_log" else f"{keyword} must be true or false, not 'maybe'"
    assert done.report["steps"][0]["error"]["message"] == message


@pytest.mark.parametrize("keyword", ["run_once", "ignore_errors", "any_errors_fatal", "no_log", "check_mode"])
def test_a_flag_that_only_a_run_can_tell_is_unsure(play, keyword: str) -> None:
    done = play(
        f"- {{name: asks, command: echo x, register: out}}\n- {{name: x, debug: , {keyword}: \"{{{{ out.stdout == 'x' }}}}\"}}",
        "--check",
    )
    assert done.exit == 0
    assert done.trace[1] == "localhost | x | unsure | depends on step 1 'asks'"


def test_a_name_that_cannot_be_made_stays_as_written(play) -> None:
    done = play("- {name: first, command: echo x, register: out}\n- {name: 'the {{ out.nothing }}', debug: }")
    assert (done.exit, done.report["steps"][1]["name"]) == (0, "the {{ out.nothing }}")


def test_handlers_that_notify_each_other_end(play) -> None:
    done = play("""\
- hosts: localhost
  steps:
    - {command: echo x, notify: a}
  handlers:
    - {name: a, command: echo a, notify: b}
    - {name: b, command: echo b, notify: a}
""")
    assert done.exit == 1
    assert 2 < len(done.trace) < 10


def test_a_failed_host_stays_out_of_the_next_play(play) -> None:
    done = play(
        "- hosts: all\n  steps: [{fail: , when: inventory_hostname == 'a'}]\n- hosts: all\n  steps: [{name: second, debug: }]\n",
        inventory=LOCAL,
    )
    assert [line for line in done.trace if "second" in line] == ["b | second | ok | Hello world!"]
    assert done.exit == 1


def test_facts_go_from_play_to_play(play) -> None:
    done = play("""\
- hosts: localhost
  steps: [{set_fact: {colour: blue}}]
- hosts: localhost
  steps: [{name: see, debug: {msg: "{{ colour }}"}}]
""")
    assert done.trace[-1] == "localhost | see | ok | blue"


def test_a_loop_that_cannot_be_made_is_skipped_by_its_condition(play) -> None:
    text = "- {name: first, command: echo x, register: out}\n"
    text += "- {name: x, debug: , loop: '{{ out.nothing }}', when: out.rc == 1}"
    assert play(text).trace[1] == "localhost | x | skipped"


def test_a_loop_over_what_is_no_list(play) -> None:
    done = play("- {set_fact: {m: {a: 1}}}\n- {name: x, debug: , loop: '{{ m }}'}")
    error = done.report["steps"][1]["error"]
    assert error["message"] == "loop needs a list, not dict: {'a': 1}"
    assert "dict2items" in error["hint"]


def test_a_condition_that_is_neither_fails_its_item_alone(play) -> None:
    done = play("- {name: x, debug: {msg: '{{ item }}'}, loop: [true, 7, false], when: item}")
    assert [item["status"] for item in done.report["steps"][0]["items"]] == ["ok", "failed", "skipped"]
    assert "neither true nor false" in done.report["steps"][0]["items"][1]["error"]["message"]


@pytest.mark.parametrize("word", ["", "--check", "--dry-run"])
def test_no_log_keeps_values_out_of_the_report(play, word: str) -> None:
    text = "- {name: x, command: echo hunter2hunter2, no_log: true, register: out}\n"
    text += "- {name: items, debug: {msg: '{{ item }}'}, loop: [topsecret1], no_log: true}\n"
    text += "- {name: z, shell: 'echo hunter2hunter2 >&2; exit 3', no_log: true, ignore_errors: true}"
    done = play(text, *filter(None, [word]))
    raw = json.dumps(done.report["steps"])
    assert "hunter2" not in raw
    assert "topsecret1" not in raw


def test_diff_false_keeps_differences_out_of_the_report(play) -> None:
    text = "- {name: x, copy: {content: one, dest: f}, diff: false}\n- {name: z, copy: {content: two, dest: g}}"
    done = steps(play(text))
    assert done["x"]["changes"][0]["diff"] is None
    assert "+two" in done["z"]["changes"][0]["diff"]


def test_flags_may_ask_for_the_item(play) -> None:
    text = """- name: x
      command: sh -c "exit {{ item.rc }}"
      loop: [{rc: 1, may: true, word: topsecret1}, {rc: 0, may: false, word: topsecret2}]
      ignore_errors: "{{ item.may }}"
      no_log: "{{ item.may }}"
"""
    done = play(text.replace("\n      ", "\n  "))
    assert done.exit == 0
    assert done.report["steps"][0]["ignored"] is True
    raw = json.dumps(done.report["steps"])
    assert ("topsecret1" in raw, "topsecret2" in raw) == (False, True)


def test_forced_is_said_only_in_a_check(play) -> None:
    text = "- {name: x, command: echo x, check_mode: false}"
    assert steps(play(text, "--check"))["x"]["forced"] is True
    assert "forced" not in steps(play(text))["x"]


def test_end_of_a_host_in_a_loop_of_includes(play) -> None:
    Path("more.yml").write_text("- meta: end_host\n  when: item == 2\n- {name: say, debug: {msg: '{{ item }}'}}\n")
    done = play("- {include_steps: more.yml, loop: [1, 2, 3]}\n- {name: never, debug: }")
    assert done.trace == ["localhost | say (1) | ok | 1"]


def test_a_meta_whose_condition_fails_fails_its_host(play) -> None:
    done = play("- {command: echo x, register: out}\n- {meta: end_play, when: out.nothing}\n- {name: never, debug: }")
    assert done.exit == 1
    assert done.trace[1].startswith("localhost | meta | failed | ")


def test_delegated_to_a_host_that_only_the_run_can_name(play) -> None:
    text = "- {command: echo moon, register: out}\n- {name: x, debug: , delegate_to: '{{ out.stdout }}'}"
    done = play(text)
    assert done.exit == 1
    assert done.report["steps"][1]["error"]["message"] == "delegate_to: there is no host 'moon'"


def test_a_label_that_cannot_be_made_fails_the_step_and_may_be_ignored(play) -> None:
    text = "- {name: x, debug: , loop: [a], loop_control: {label: '{{ item.nothing }}'}, ignore_errors: true}"
    assert play(text).exit == 0


def test_how_often_a_command_would_be_run_is_not_known_in_a_check(play) -> None:
    text = "- {name: x, command: 'false', register: out, retries: 1, delay: 0, ignore_errors: true}\n"
    text += "- {name: see, debug: {msg: '{{ out.attempts }}'}}"
    assert play(text, "--check").trace[1] == "localhost | see | unsure | depends on step 1 'x'"
    assert play(text).trace[1] == "localhost | see | ok | 2"


def test_a_dry_run_says_what_only_a_run_knows(play) -> None:
    text = "- {name: x, command: echo, register: out}\n- {name: see, debug: {msg: \"{{ out.rc | default('none') }}\"}}"
    done = play(text, "--dry-run")
    assert done.report["steps"][1]["data"]["params"] == {"msg": "known in the run"}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("any_errors_fatal: true", "no further step on a: another host failed (any_errors_fatal): b"),
        ("max_fail_percentage: 20", "no further step on a: more hosts have failed than max_fail_percentage allows"),
        ("any_errors_fatal: false", None),
    ],
)
def test_hosts_that_stop_for_another_ones_failure_are_told_of(play, capsys, rule: str, told: str | None) -> None:
    Path("inventory.yml").write_text(LOCAL)
    Path("playbook.yml").write_text(
        f"- hosts: all\n  {rule}\n  steps:\n    - fail: {{msg: x}}\n      when: inventory_hostname == 'b'\n"
    )
    with pytest.raises(SystemExit):
        command(["playbook.yml", "-i", "inventory.yml", "--state-dir", "state"])
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == ([f"note: {told} (playbook.yml:4:7)"] if told else [])
