"""docs/cli.md and the command say the same."""

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from runbook.cli import COMMANDS, cli

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text("utf-8")


def commands() -> dict[str, click.Command]:
    """Give every command that does something, by its words."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = import_module(f"runbook.cli.{name}").command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": command.commands[inner] for inner in command.commands}
        else:
            found[name] = command
    return found


def section(words: str) -> str:
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    found = [part for part in parts if re.match(rf"runbook {words}( [\[A-Z]|\n)", part)]
    assert len(found) == 1, f"docs/cli.md has {len(found)} sections of `runbook {words}`"
    return found[0]


@pytest.mark.parametrize("words", commands())
def test_every_option_is_in_the_page_and_nothing_else(words):
    command = commands()[words]
    options = {opt for param in command.params for opt in param.opts if opt.startswith("-")} | {"-h", "--help"}
    rows = [line for line in section(words).splitlines() if line.startswith("| `-")]
    assert {name for row in rows for name in re.findall(r"`(-[-\w]+)`", row.split("|")[1])} == options


@pytest.mark.parametrize("words", commands())
def test_arguments_and_help(words):
    command = commands()[words]
    head = section(words).partition("\n")[0]
    for param in command.params:
        if isinstance(param, click.Argument):
            assert param.name.upper() in head
        elif param.name != "help":
            assert param.help, f"{words} {param.name} has no help"
    assert command.help


def test_what_help_lists_is_what_there_is():
    """The summaries stand in a table, so that `--help` imports no command; they are the commands' own words."""
    assert list(COMMANDS) == cli.list_commands(click.Context(cli))
    for name in COMMANDS:
        assert isinstance(import_module(f"runbook.cli.{name}").command, click.Command)
        assert f"## runbook {name}" in PAGE
