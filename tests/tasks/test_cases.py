"""Every case of every task, by the laws, in memory and on real files."""

from collections import Counter
from pathlib import Path

import pytest

from runbook.testing import cases, run_case

CASES = cases(Path(__file__).parent)


@pytest.mark.parametrize("real", [False, True], ids=["memory", "files"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, real, tmp_path):
    assert run_case(case, tmp_path if real else None) == []


def test_no_two_cases_bear_one_name():
    assert [name for name, count in Counter(map(str, CASES)).items() if count > 1] == []
