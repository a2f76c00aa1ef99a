"""Every case of every task, by the laws, in memory and on real files."""

from collections import Counter
from pathlib import Path

import pytest

from runbook.testing import plays, run_case

PLAYS = plays(Path(__file__).parent)


@pytest.mark.parametrize(
    ("case", "real"), PLAYS, ids=[f"{case}-{'files' if real else 'memory'}" for case, real in PLAYS]
)
def test_case(case, real, tmp_path):
    assert run_case(case, tmp_path if real else None) == []


def test_no_two_cases_bear_one_name():
    assert [name for name, count in Counter((str(case), real) for case, real in PLAYS).items() if count > 1] == []
