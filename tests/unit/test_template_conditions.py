"""Conditions are booleans, and an unknown answer is neither."""

from __future__ import annotations

import pytest
from template_scope import AT, Vars

from runbook.errors import Invalid, Problems, TaskFailed, Unsure, Where
from runbook.templates import compile_condition
from runbook.units import Secret
from runbook.unknown import Unknown


def holds(condition, **values):
    return compile_condition(condition, AT).evaluate(Vars(**values))


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (True, True),
        (False, False),
        ("a", True),
        ("not a", False),
        ("d.x", False),
        ("not d.x", True),
        ("a is defined", True),
        ("b is defined", False),
        ("b is not defined", True),
        ("not b is defined", True),
        ("a is undefined", False),
        ("d.y is defined", False),
        ("d.x is not defined", False),
        ("n > 1 and 'k' in items", True),
        ("items is subset(['k', 'l'])", True),
        ("true", True),
        ("n == 2 or nope", True),
        (["a", "n == 2"], True),
        (["a", "n == 3", "nope"], False),
        ([], True),
        ("'{{' in text", True),
    ],
)
def test_a_condition_holds_or_not(condition, value):
    assert holds(condition, a=True, d={"x": False}, n=2, items=["k"], text="a {{ b") is value


def test_the_first_false_part_is_named():
    condition = compile_condition(["a", " n > 2 ", "b"], AT)
    assert condition.first_false(Vars(a=True, n=1)) == "n > 2"
    assert condition.first_false(Vars(a=True, n=3, b=True)) is None
    assert condition.text == "a and n > 2 and b"
    assert compile_condition(False).first_false(Vars()) == "false"


@pytest.mark.parametrize(
    ("condition", "shown", "hint"),
    [
        ("text", "'yes' (str)", "`text | bool`"),
        ("items", "['k'] (list)", "`items | length > 0`"),
        ("items + items", "['k', 'k'] (list)", "`(items + items) | length > 0`"),
        ("n", "2 (int)", "`n > 0`"),
        ("none_", "None (NoneType)", "`none_ is not none`"),
        ("key", "*** (Secret)", "== 'text'"),
        ("part", "what is known after the run (dict)", "length > 0"),
    ],
)
def test_what_is_no_boolean_fails_and_says_what_to_write(condition, shown, hint):
    values = {
        "text": "yes",
        "items": ["k"],
        "n": 2,
        "none_": None,
        "key": Secret("hunter22"),
        "part": {"x": Unknown("y")},
    }
    with pytest.raises(TaskFailed) as caught:
        holds(condition, **values)
    assert f"the condition `{condition}` gives {shown}, neither true nor false" == caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == AT


@pytest.mark.parametrize(
    "condition",
    ["u", "not u", "u is defined", "u is not defined", "u.x is none", "u == 1", "u | bool", "u | length > 0", "1 in u", "[u] == [1]",
     "u is number", "u is mapping", "u is failed", "r.rc == 0", "r.rc is defined", "'x' is match(u)", "true and u", "f(u)", "u | default(true)", "items | select('eq', u) | list"],
)  # fmt: skip
def test_a_condition_on_what_is_unknown_is_unsure(condition):
    with pytest.raises(Unsure) as caught:
        holds(condition, u=Unknown("depends on step 4"), r={"rc": Unknown("depends on step 4")}, items=[1])
    assert caught.value.reason == "depends on step 4"


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("r is changed", True),
        ("r is failed", False),
        ("r is succeeded", True),
        ("r is skipped", False),
        ("r is defined", True),
        ("r is mapping", True),
        ("r.changed and not r.failed", True),
        ("false and u", False),
        ("true or u", True),
        ("(r | default({})).changed", True),
    ],
)
def test_what_is_known_beside_the_unknown_decides(condition, value):
    assert holds(condition, u=Unknown("x"), r={"changed": True, "failed": False, "rc": Unknown("x")}) is value


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("{{ a }}", "is an expression already", "write the expression without braces: a"),
        ("{{ a }} and {{ b }}", "is an expression already", "without braces"),
        ("{% if a %}x{% endif %}", "is an expression already", "without braces"),
        (" ", "the condition is empty", "leave it out"),
        (1, "not 1", "in quotes"),
        (None, "not None", "in quotes"),
        ({"a": 1}, "not {'a': 1}", "in quotes"),
        ("a = 1", "the expression ends before '='", "=="),
        ("a b", "the expression ends before 'b'", None),
        ("a is defnd", "there is no test 'defnd'", "did you mean 'defined'?"),
        ("a | boool", "there is no filter 'boool'", "did you mean 'bool'?"),
        ("a and", "unexpected", None),
    ],
)
def test_wrong_conditions_are_refused_when_they_are_compiled(value, message, hint):
    with pytest.raises(Invalid) as caught:
        compile_condition(value, AT)
    assert message in caught.value.message
    assert hint is None or hint in caught.value.hint
    assert (caught.value.where.file, caught.value.where.line) == ("play.yml", 7)


def test_all_wrong_parts_of_a_list_are_reported_each_at_its_place():
    with pytest.raises(Problems) as caught:
        compile_condition(["a b", "fine", "{{ x }}"], lambda path: Where("p", 10 + path[-1], 1), ("when",))
    assert [problem.where.line for problem in caught.value.problems] == [10, 12]


def test_a_part_that_cannot_be_asked_names_what_is_missing():
    with pytest.raises(TaskFailed, match="'r' has no attribute 'chnged'") as caught:
        holds("r.chnged", r={"changed": True})
    assert caught.value.hint == "did you mean 'changed'?"
    with pytest.raises(TaskFailed, match="'nope' is not defined"):
        holds("not nope")
