"""debug, assert, fail, set_fact, include_vars and pause, given a view of variables."""

import pytest
from pydantic import ValidationError

from runbook.errors import TaskFailed, Unsure
from runbook.task import Asked, Said, declared
from runbook.tasks.core import say
from runbook.templates import MISSING, compile_condition, compile_text
from runbook.units import Secret
from runbook.unknown import Unknown


class View:
    environ = {}  # noqa: RUF012 - never written to

    def __init__(self, **values):
        self._values = values

    def get(self, name):
        return self._values.get(name, MISSING)

    def names(self):
        return list(self._values)


def do(name, view=None, /, **params):
    spec = declared(getattr(say, name), "")
    for key, value in params.items():
        if spec.use_of(key) == "conditions":
            params[key] = compile_condition(value)
        elif spec.use_of(key) == "expression":
            params[key] = Asked(value, compile_text("{{ " + value + " }}"))
    return spec.function(spec.params.model_validate(params), view or View())


def test_debug_shows_a_message():
    assert do("debug") == Said(data={"msg": "Hello world!"}, text="Hello world!")
    assert do("debug", msg=["one", "two"]).text == "one\ntwo"
    assert do("debug", msg={"a": "ü"}).text == '{\n  "a": "ü"\n}'
    assert do("debug", msg=None).text == "null"


def test_debug_shows_the_value_of_an_expression():
    said = do("debug", View(result={"rc": 3}), var="result.rc")
    assert said == Said(data={"result.rc": 3}, text="result.rc: 3")
    assert do("debug", View(x={"k": 1}), var="{'a': x.k}").data == {"{'a': x.k}": {"a": 1}}


def test_debug_of_a_secret_or_of_what_is_unknown():
    assert do("debug", msg={"key": Secret("hunter2")}).text == '{\n  "key": "***"\n}'
    assert do("debug", View(key=Secret("hunter2")), var="key").text == 'key: "***"'
    with pytest.raises(Unsure, match="step 4"):
        do("debug", View(run=Unknown("depends on step 4")), var="run.rc")


def test_debug_of_what_is_not_there():
    with pytest.raises(TaskFailed, match="rcc"):
        do("debug", View(result={"rc": 3}), var="result.rcc")


def test_assert_holds():
    said = do("assert_", View(x=1), that=["x == 1", "x < 2"])
    assert said == Said(data={"msg": "All assertions passed"}, text="All assertions passed")
    assert do("assert_", View(x=1), that="x == 1", quiet=True, success_msg="fine") == Said(
        data={"msg": "fine"}, text=""
    )
    assert do("assert_", that=True).text == "All assertions passed"


def test_assert_names_the_first_that_is_false():
    with pytest.raises(TaskFailed, match="Assertion failed: x > 1") as failed:
        do("assert_", View(x=1), that=["x == 1", "x > 1", "nothing.at.all"])
    assert failed.value.data == {"assertion": "x > 1", "evaluated_to": False, "msg": "Assertion failed"}
    with pytest.raises(TaskFailed, match=r"^too small$"):
        do("assert_", View(x=1), that="x > 1", msg="too small")
    with pytest.raises(TaskFailed, match="too\nsmall") as failed:
        do("assert_", View(x=1), that="x > 1", fail_msg=["too", "small"])
    assert failed.value.data["msg"] == ["too", "small"]


def test_assert_takes_booleans_only_and_is_unsure_of_the_unknown():
    with pytest.raises(TaskFailed, match="neither true nor false"):
        do("assert_", View(x=1), that="x")
    with pytest.raises(Unsure, match="step 4"):
        do("assert_", View(x=Unknown("depends on step 4")), that="x == 1")


def test_fail():
    with pytest.raises(TaskFailed, match="Failed as requested from task"):
        do("fail")
    with pytest.raises(TaskFailed, match="no space") as failed:
        do("fail", msg="no space")
    assert failed.value.data == {"msg": "no space"}


def test_set_fact():
    said = do("set_fact", a=1, b=["x"], key=Secret("hunter2"), cacheable=True, name="n", model_config=2)
    facts = {"a": 1, "b": ["x"], "key": Secret("hunter2"), "name": "n", "model_config": 2}
    assert (said.facts, said.data) == (facts, {"ansible_facts": facts})


@pytest.mark.parametrize(("facts", "name"), [({"a-b": 1}, "a-b"), ({"1a": 1}, "1a"), ({"class": 1}, "class")])
def test_set_fact_needs_names(facts, name):
    with pytest.raises(ValidationError, match=f"'{name}' is no name"):
        do("set_fact", **facts)


def test_set_fact_of_nothing():
    with pytest.raises(ValidationError, match="nothing to set"):
        do("set_fact", cacheable=False)


def test_include_vars_hands_the_values_on_untouched():
    lazy = object()
    said = do("include_vars", file={"b": lazy, "a": 1})
    assert (said.facts, said.data) == ({"b": lazy, "a": 1}, {"names": ["a", "b"]})
    assert do("include_vars", file={"b": lazy}, name="site").facts == {"site": {"b": lazy}}
    assert declared(say.include_vars, "").use_of("file") == "vars file"


def test_pause():
    said = do("pause", seconds=90)
    assert (said.wait, said.prompt, said.data) == (90, None, {"delta": 90, "stdout": "Paused for 90 seconds"})
    said = do("pause", minutes=1.5, prompt="let it warm up")
    assert (said.wait, said.text, said.data["stdout"]) == (90, "let it warm up", "Paused for 1.5 minutes")
    assert do("pause").prompt == "Press enter to continue, Ctrl+C to interrupt"
    assert do("pause", prompt="Is the tunnel down?").prompt == "Is the tunnel down?"
    assert do("pause", seconds=0).wait == 0


@pytest.mark.parametrize(
    ("task", "params", "message"),
    [
        ("pause", {"seconds": 1, "minutes": 1}, "one of `seconds`"),
        ("pause", {"seconds": -1}, "greater than or equal"),
        ("debug", {"msg": "x", "var": "y"}, "one of `msg`"),
        ("debug", {"verbosity": 2}, "verbosity"),
        ("assert_", {}, "required"),
    ],
)
def test_what_is_wrong_is_said(task, params, message):
    with pytest.raises(ValidationError, match=message):
        do(task, **params)
