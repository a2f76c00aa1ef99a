"""Values that only a run can tell: what flows, what is forced, and what becomes of them."""

from __future__ import annotations

import copy
import math

import pytest

from runbook.changes import Run, RunCommand, Stat
from runbook.changes.values import Completed
from runbook.errors import Unsure
from runbook.unknown import Unknown, first_unknown, reason_of, resolved, then, unknowns

WHY = "depends on step 4 'restart'"


FORCED = [
    bool,
    str,
    repr,
    int,
    float,
    len,
    list,
    hash,
    complex,
    bytes,
    math.floor,
    range,
    round,
    reversed,
    sorted,
    iter,
]
FORCED += [lambda x: f"{x}", lambda x: x == 1, lambda x: x != 1, lambda x: x < 1, lambda x: x >= 1, lambda x: 1 in x]
FORCED += [lambda x: [1][x], lambda x: {x: 1}, lambda x: sorted([x, x]), lambda x: x and 1]


@pytest.mark.parametrize("use", FORCED)
def test_looking_at_it_is_unsure(use):
    with pytest.raises((Unsure, TypeError)) as caught:
        use(Unknown(WHY))
    if isinstance(caught.value, Unsure):
        assert caught.value.reason == WHY


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x.rc,
        lambda x: x["rc"],
        lambda x: x.a.b["c"],
        lambda x: x + 1,
        lambda x: 1 + x,
        lambda x: -x,
        lambda x: x(),
    ],
)
def test_it_flows_through_operators_attributes_items_and_calls(use):
    found = use(Unknown(WHY))
    assert type(found) is Unknown
    assert reason_of(found) == WHY


def test_it_resolves_to_what_was_made_of_it():
    run = Run(RunCommand(("echo", "hi")))
    data = {"rc": run.outcome.rc + 1, "lines": then(run.outcome.stdout, str.splitlines), "sum": 10 - run.outcome.rc}
    assert len(list(unknowns(data))) == 3
    run.cell.put(Completed(("echo", "hi"), 0, "hi\n"))
    assert resolved(data) == {"rc": 1, "lines": ["hi"], "sum": 10}


def test_an_overlay_answer_does_not_fill_the_cell():
    run = Run(RunCommand(("echo",)))
    run.cell.put(Unknown(WHY))
    assert first_unknown(resolved({"rc": run.outcome.rc})) is not None


def test_two_unknowns_in_one_operation():
    left, right = Run(RunCommand(("a",))), Run(RunCommand(("b",)))
    total = left.outcome.rc + right.outcome.rc
    left.cell.put(Completed(("a",), 1))
    right.cell.put(Completed(("b",), 2))
    assert resolved(total) == 3


def test_it_is_found_however_deep():
    unknown = Unknown(WHY)
    for value in ([[{"a": (1, unknown)}]], {"a": {"b": [unknown]}}, Stat("file", unknown, 0, 0o644)):
        assert first_unknown(value) is unknown
    for value in (1, "a", None, [1, {"a": ()}], Stat("file", 1, 0, 0o644)):
        assert first_unknown(value) is None


def test_it_cannot_be_changed_and_copies_of_structures_keep_it():
    unknown = Unknown(WHY)
    with pytest.raises(AttributeError):
        unknown.name = 1
    assert copy.copy([unknown])[0] is unknown
