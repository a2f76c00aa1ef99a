"""docs/language.md is in step with the language: every keyword, filter, test, lookup and variable; its examples run."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from runbook.cli.play import command
from runbook.inputs import TYPES
from runbook.plan.magic import IN_THE_RUN, Place, static_magic
from runbook.playbook import KEYWORDS
from runbook.playbook.keywords import IGNORED, META, REFUSED
from runbook.templates.lookups import KINDS
from runbook.templates.machine import machine

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    """Give the table that follows a heading line or the names of its columns, cell by cell."""
    after = PAGE[PAGE.index(heading) :]
    table = after[after.index("|---") :].splitlines()[1:]
    lines = table[: next((n for n, line in enumerate(table) if not line.startswith("|")), len(table))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names(start: str) -> list[str]:
    """Give what stands in backticks in the sentence that starts so."""
    after = PAGE[PAGE.index(start) + len(start) :]
    return re.findall(r"`([^`]+)`", after[: after.index(".\n") if ".\n" in after else len(after)].split("`. ")[0] + "`")


def test_every_keyword_with_its_places_and_meaning() -> None:
    expected = [[f"`{keyword.name}`", ", ".join(keyword.on), keyword.doc] for keyword in KEYWORDS]
    assert rows("| keyword | stands on |") == expected


def test_what_is_ignored_refused_and_what_steers() -> None:
    assert names("each with what to write instead: ") == list(REFUSED)
    assert names("steers the run: ") == list(META)
    assert all(f"`{name}`" in PAGE for name in IGNORED)


def test_every_filter_test_function_and_lookup() -> None:
    ours = machine()
    assert names("\nFilters: ") == sorted(ours.filters)
    assert names("\nTests: ") == sorted(ours.tests)
    assert names("Functions: ") == sorted(ours.globals)
    assert names("as a list, `query`: ") == sorted(KINDS)


def test_every_magic_variable() -> None:
    inventory = SimpleNamespace(path=Path("x"), groups={}, group_names=lambda _: [])
    static = static_magic(Place("play", [], "", [], inventory), "host")
    assert [row[0] for row in rows("| variable | value |")] == [f"`{name}`" for name in sorted({*IN_THE_RUN, *static})]


def test_every_type_of_input() -> None:
    told = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("| type | takes |")))
    assert sorted(told) == sorted(TYPES)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_compile(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("playbook.yml").write_text(example)
    words = ["playbook.yml", "--dry-run", "--state-dir", "state"]
    done = CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    assert done.return_value == 0


def test_departures_are_told_here_only() -> None:
    assert len(rows("## Departures from Ansible")) >= 15
