"""Views of variables: layers, what is rendered when, circles, and mappings of it all."""

from __future__ import annotations

from typing import Any

import pytest

from runbook.errors import Invalid, TaskFailed, Where
from runbook.templates import MISSING, compile_value
from runbook.unknown import Unknown
from runbook.variables import OMIT, AsMapping, Late, Lazy, Variables, compiled_layer, folded, value_of


def view(*layers: dict[str, Any]) -> Variables:
    return Variables([lazily(layer) for layer in layers], environ={"HOME": "/home/u"}, reader=lambda path: f"<{path}>")


def lazily(values: dict[str, Any]) -> dict[str, Any]:
    where = Where("vars.yml", 1, 1)
    compiled = {name: compile_value(value, lambda _path, **_: where) for name, value in values.items()}
    return {name: new if new is values[name] else Lazy(new) for name, new in compiled.items()}


def test_the_highest_layer_wins() -> None:
    assert view({"a": 1}, {"a": 2, "b": 3}).get("a") == 1
    assert view({"a": 1}, {"a": 2, "b": 3}).get("b") == 3
    assert view({}).get("a") is MISSING


def test_what_is_read_is_rendered_where_it_is_read() -> None:
    low = {"url": "http://{{ host }}", "host": "low"}
    assert view(low).get("url") == "http://low"
    assert view({"host": "high"}, low).get("url") == "http://high"
    assert view(low).over({"host": "over"}).get("url") == "http://over"


def test_types_are_kept_also_through_several() -> None:
    scope = view({"a": "{{ b }}", "b": "{{ c }}", "c": [1, {"d": None}], "text": "{{ c[0] }}{{ c[0] }}"})
    assert scope.get("a") == [1, {"d": None}]
    assert scope.get("text") == "11"


def test_a_circle_says_its_way() -> None:
    with pytest.raises(TaskFailed, match="'a' is made of itself: a -> b -> a"):
        view({"a": "{{ b }}", "b": "x{{ a }}"}).get("a")


def test_a_circle_is_none_where_it_is_broken_higher_up() -> None:
    assert view({"b": 1}, {"a": "{{ b }}", "b": "{{ a }}"}).get("a") == 1


def test_a_late_value_is_computed_once() -> None:
    calls: list[int] = []
    scope = view({"a": Late(lambda: calls.append(1) or len(calls)), "b": "{{ a }}{{ a }}"})
    assert (scope.get("b"), scope.get("a"), calls) == ("11", 1, [1])


def test_an_input_is_read_by_its_type_when_it_is_read() -> None:
    scope = view({"n": Lazy("7", int), "bad": Lazy("x", int), "later": Lazy(Unknown("later"), int)})
    assert scope.get("n") == 7
    assert isinstance(scope.get("later"), Unknown)
    with pytest.raises(TaskFailed, match="the input 'bad': invalid literal"):
        scope.get("bad")


def test_names_once_each_and_the_mapping_of_all() -> None:
    scope = view({"a": 1}, {"a": 2, "b": "{{ a }}"})
    assert list(scope.names()) == ["a", "b"]
    assert dict(AsMapping(scope)) == {"a": 1, "b": 1}
    with pytest.raises(KeyError):
        AsMapping(scope)["c"]


def test_a_mapping_of_variables_is_rendered_where_it_is_read() -> None:
    values = lazily({"x": "{{ y }}", "z": 1})
    assert view({"all": folded(values), "y": 5}).get("all") == {"x": 5, "z": 1}


def test_a_layer_knows_where_each_was_written() -> None:
    layer = compiled_layer("f.yml", {"a": "{{ b }}", "c": 1}, lambda path, **_: Where("f.yml", len(path[0]), 1))
    assert layer.where == {"a": Where("f.yml", 1, 1), "c": Where("f.yml", 1, 1)}
    assert isinstance(layer.values["a"], Lazy)
    assert layer.values["c"] == 1


def test_files_environment_and_what_must_be_there() -> None:
    scope = view({"a": "{{ lookup('env', 'HOME') }} {{ lookup('file', 'x') }}"})
    assert scope.get("a") == "/home/u <x>"
    assert value_of(scope, "a") == "/home/u <x>"
    with pytest.raises(Invalid, match="'nothing' is not defined"):
        value_of(scope, "nothing")
    assert repr(OMIT) == "omit"
