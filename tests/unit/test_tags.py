"""Which steps `--tags` and `--skip-tags` choose: ansible-core's table, row by row."""

from __future__ import annotations

import pytest

from runbook.errors import Invalid
from runbook.plan.tags import Tags

STEPS = {"U": (), "A": ("a",), "W": ("always",), "N": ("never",), "NA": ("never", "a"), "WA": ("always", "a")}


@pytest.mark.parametrize(
    ("only", "skip", "chosen"),
    [
        ("", "", "U A W WA"),
        ("all", "", "U A W WA"),
        ("a", "", "A W NA WA"),
        ("tagged", "", "A W WA"),
        ("untagged", "", "U W WA"),
        ("never", "", "W N NA WA"),
        ("all,never", "", "U A W N NA WA"),
        ("", "a", "U W"),
        ("", "always", "U A"),
        ("", "tagged", "U"),
        ("", "all", "W WA"),
        ("a", "a", "W"),
    ],
)
def test_the_table(only: str, skip: str, chosen: str) -> None:
    tags = Tags(tuple(filter(None, only.split(","))), tuple(filter(None, skip.split(","))))
    assert [name for name, mine in STEPS.items() if tags.choose(mine)] == chosen.split()


@pytest.mark.parametrize(("tags", "said"), [(Tags(("fats",)), "--tags"), (Tags((), ("fats",)), "--skip-tags")])
def test_a_tag_that_no_step_has(tags: Tags, said: str) -> None:
    with pytest.raises(Invalid, match=f"{said}: no step has the tag 'fats'") as error:
        tags.refuse_unknown(["fast", "slow"])
    assert error.value.hint == "did you mean 'fast'?"
    tags.refuse_unknown(["fats"])


def test_the_words_for_all_kinds_need_no_step() -> None:
    Tags(("all", "tagged", "untagged", "always", "never"), ("always",)).refuse_unknown([])
