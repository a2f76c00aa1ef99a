"""The engine's own dataclasses: compared, shown and hashed as the standard ones are."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, field, replace

import pytest

from runbook.value import frozen, named, record, sealed


@frozen
class Place:
    name: str
    line: int = 0
    seen: list[int] = field(default_factory=list, compare=False, repr=False)


@sealed
class Deed:
    path: str


@record
class Count:
    total: int = 0


@named
class Wish:
    what: str
    why: str = ""


def test_values_with_equal_compared_fields_are_equal_and_hash_alike():
    assert Place("a", 1, [1]) == Place("a", 1, [2])
    assert hash(Place("a", 1, [1])) == hash(Place("a", 1, [2]))
    assert Place("a") != Place("b")
    assert Deed("a") == Deed("a")
    assert Place("a") != ("a", 0)


def test_they_show_what_they_hold():
    assert repr(Place("a", 2)) == "Place(name='a', line=2)"


def test_they_have_no_dict_and_can_be_replaced():
    assert not hasattr(Place("a"), "__dict__")
    assert replace(Place("a"), line=3) == Place("a", 3)


def test_what_plugins_hold_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Deed("a").path = "b"


def test_a_record_is_filled_and_not_hashed():
    count = Count()
    count.total += 1
    assert count == Count(1)
    with pytest.raises(TypeError):
        hash(count)


def test_named_fields_are_given_by_name():
    assert Wish(what="tea") == Wish(what="tea", why="")
    with pytest.raises(TypeError):
        Wish("tea")
