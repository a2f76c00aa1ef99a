"""Test a plugin by cases: what was there, what is to be done, what is there afterwards; in memory and on real files.

import pytest
from runbook.testing import cases, run_case

@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("case", cases("tests/tasks"), ids=str)
def test_case(case, real, tmp_path):
    assert run_case(case, tmp_path if real else None) == []
"""

from runbook.testing.case import Case, Entry, Wanted, cases, read_cases
from runbook.testing.laws import run_case
from runbook.testing.memory import MemoryHost

__all__ = ["Case", "Entry", "MemoryHost", "Wanted", "cases", "read_cases", "run_case"]
