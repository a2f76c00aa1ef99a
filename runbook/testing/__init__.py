"""Test a plugin by cases: what was there, what is to be done, what is there afterwards; in memory and on real files.

Cases are YAML files, `<task>/<case>.yaml` (see `Case`); a test of all of them, on both kinds of machine:

    @pytest.mark.parametrize(("case", "real"), plays("tests/tasks"), ids=str)
    def test_case(case, real, tmp_path):
        assert run_case(case, tmp_path if real else None) == []

`play(plan_of("upkeep.yml", {"exp_dir": str(tmp_path)}), mode="check")` plays a playbook and gives its report.
"""

from runbook.testing.case import Case, Entry, Wanted, cases, plays, read_cases
from runbook.testing.laws import run_case
from runbook.testing.memory import MemoryHost
from runbook.testing.playing import changes_of, plan_of, play

__all__ = [
    "Case",
    "Entry",
    "MemoryHost",
    "Wanted",
    "cases",
    "changes_of",
    "plan_of",
    "play",
    "plays",
    "read_cases",
    "run_case",
]
