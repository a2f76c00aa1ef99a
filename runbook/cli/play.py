"""`runbook play`: from a playbook's name to a run's exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runbook.errors import UsageError


@click.command("play", add_help_option=False, context_settings={"max_content_width": 110})
@click.argument("playbook", required=False)
@click.option("-e", "--extra", multiple=True, metavar="NAME=VALUE|@FILE", help="Give an input or variable; repeatable.")
@click.option("-i", "--inventory", metavar="FILE", envvar="RUNBOOK_INVENTORY", help="The inventory: a file or folder.")
@click.option("-C", "--check", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--dry-run", is_flag=True, help="Print the steps with their params; read no host.")
@click.option("-D", "--diff", is_flag=True, help="Show the differences of text files.")
@click.option("-l", "--limit", metavar="PATTERN", help="Only these hosts.")
@click.option("-t", "--tags", multiple=True, metavar="TAGS", help="Only steps with these tags.")
@click.option("--skip-tags", multiple=True, metavar="TAGS", help="No steps with these tags.")
@click.option(
    "-f",
    "--forks",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    envvar="RUNBOOK_FORKS",
    metavar="N",
    help="How many hosts are at a step at once.",
)
@click.option("--report", metavar="FILE", type=click.Path(path_type=Path), help="Write the JSON report there too.")
@click.option("--json", "as_json", is_flag=True, help="Print one event a line, in JSON, and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Print failures only.")
@click.option(
    "-v", "--verbose", count=True, help="Print what commands print, what tasks return, and where a plugin raised."
)
@click.option("--fail-on-change", is_flag=True, help="With --check: exit 5 if changes are pending.")
@click.option("--wait", metavar="DURATION", help="Wait that long for the lock, for example 10m.")
@click.option("--state-dir", metavar="DIR", type=click.Path(path_type=Path), help="Where reports and locks are kept.")
@click.option("-h", "--help", "show_help", is_flag=True, help="Show this, or the inputs of PLAYBOOK.")
@click.pass_context
def command(ctx: click.Context, /, playbook: str | None, **options: Any) -> int:
    """Run PLAYBOOK: a path, or a name in ./, in ./playbooks or among the shipped ones.

    Exit codes: 0 done, 1 a step failed, 2 wrong usage, 3 a host was unreachable, 4 the playbook or its inputs are
    wrong and nothing was run, 5 changes are pending (--fail-on-change), 75 another run holds the lock.
    """
    if options.pop("show_help"):
        click.echo(_inputs_page(playbook) if playbook else ctx.get_help())
        return 0
    if playbook is None:
        raise UsageError("which playbook?", hint="`runbook list` shows those that there are")
    if options["check"] and options["dry_run"]:
        raise UsageError("--check and --dry-run exclude each other", hint="--check reads the hosts, --dry-run does not")
    if options["fail_on_change"] and not options["check"]:
        raise UsageError("--fail-on-change goes with --check")
    from runbook.cli.session import Options
    from runbook.cli.workflow import play

    return play(Options(playbook=playbook, **_prepared(options)))


def _prepared(options: dict[str, Any]) -> dict[str, Any]:
    from runbook.units import Duration

    try:
        wait = Duration.parse(options["wait"]) if options["wait"] else 0.0
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error
    if options["report"] is not None:
        _refuse_report(options["report"])
    split = {name: tuple(w.strip() for text in options[name] for w in text.split(",") if w.strip()) for name in _LISTS}
    mode = "check" if options.pop("check") else "run"
    mode = "dry-run" if options.pop("dry_run") else mode
    return {**options, **split, "wait": float(wait), "mode": mode}


_LISTS = ("tags", "skip_tags")


def _refuse_report(file: Path) -> None:
    """Raise UsageError where no report could be written, before there is one."""
    if file.is_dir() or not file.absolute().parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in a folder that is not there"
        raise UsageError(f"--report: {file} {what}", hint="name a file in a folder that is there")


def _inputs_page(name: str) -> str:
    """Show what a playbook is for and what it asks of its caller."""
    from runbook.cli.list import first_sentence
    from runbook.cli.session import task_folders
    from runbook.inputs import show_inputs
    from runbook.lines import table
    from runbook.plan.extra import inputs_of
    from runbook.playbook import find_playbook, load_playbook
    from runbook.registry import Registry

    path = find_playbook(name)
    book = load_playbook(path, is_task=Registry(task_folders(path)).is_task)
    lines = [f"Usage: runbook play {name} [-e NAME=VALUE]...", ""]
    lines += [about, ""] if (about := first_sentence(path)) else []
    lines += [f"  {play.name}" for play in book.plays if play.name]
    inputs = inputs_of(book)
    lines += ["", "Inputs:" if inputs else "It has no inputs."]
    rows = [tuple(str(cell) for cell in row) for row in show_inputs(inputs)]
    lines += [f"  {line}" for line in table([("NAME", "TYPE", "DEFAULT", "WHAT IT IS"), *rows])] if rows else []
    return "\n".join(lines)
