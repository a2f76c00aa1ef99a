"""A hint speaks of a task's params; who plays the playbook is told the inputs that these are given by."""

import pytest
import yaml

from runbook.testing import plan_of, play


def hint(tmp_path, paths, inputs, **given):
    step = {"security.scan_logs": {"paths": paths, "secrets": {"KEY": "0123456789abcdef"}}}
    book = tmp_path / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "inputs": inputs, "vars": {"own": "/x"}, "steps": [step]}]))
    (told,) = play(plan_of(book, given))["steps"]
    return told["error"]["hint"]


PLAIN = "where are they? name them in `paths`"


def test_the_input_that_gives_the_param_is_named(tmp_path):
    inputs = {"api_logs": {"type": "path", "required": True}}
    told = f"{PLAIN}; `paths` is given here by -e api_logs=..."
    for paths in ("{{ api_logs }}", ["{{ api_logs }}/*.log"], ["{{ api_logs }}", "{{ api_logs }}.1"]):
        assert hint(tmp_path, paths, inputs, api_logs=str(tmp_path / "none")) == told


@pytest.mark.parametrize("paths", ["/none", "{{ own }}", "{{ one }}{{ two }}", ["{{ one }}", "{{ two }}"]])
def test_a_param_that_is_none_of_an_input_or_of_several_speaks_for_itself(tmp_path, paths):
    assert hint(tmp_path, paths, {"one": {"default": "/n"}, "two": {"default": "/m"}}) == PLAIN


def test_an_input_of_the_same_name_needs_no_word(tmp_path):
    assert hint(tmp_path, "{{ paths }}", {"paths": {"default": "/none"}}) == PLAIN
