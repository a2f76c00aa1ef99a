"""The command: one file per subcommand, imported when it is named; the only place that exits."""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import suppress
from errno import EIO, ENOSPC, EPIPE
from importlib import import_module
from typing import NoReturn

import click

from runbook import __version__
from runbook.errors import RunbookError, Stopped

COMMANDS = {
    "play": "Run a playbook.",
    "list": "List the playbooks there are.",
    "tasks": "List the tasks, or show one with its params.",
    "inventory": "Show the hosts, groups and variables of an inventory.",
    "runs": "List, show and prune the reports of past runs.",
    "service": "Serve a model: the reference inference service.",
    "schedule": "Run a playbook at its times, by cron, systemd or the Task Scheduler.",
    "doctor": "Examine this installation and this machine.",
    "docs": "Write or check the generated pages.",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are named, so that `--help` starts in no time."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*COMMANDS]  # `list` is a module of ours here, once that command is imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if ctx.resilient_parsing:  # the shell asks for names to complete
            return click.Command(cmd_name, help=COMMANDS[cmd_name])
        command: click.Command = import_module(f"runbook.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message}{_meant(args[0])}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


def _meant(word: str) -> str:
    """Say what a word is that is no command: a playbook's name, or one much like a command's."""
    from runbook.playbook.find import shipped_playbooks
    from runbook.suggest import suggest

    name = word.removesuffix(".yml")
    if name in shipped_playbooks():
        return f" A playbook is played: runbook play {name}.yml"
    near = suggest(word, COMMANDS)
    return f" {near[0].upper()}{near[1:]}" if near else ""


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="runbook", message="%(prog)s %(version)s")
def cli() -> None:
    """Run playbooks: ordered, idempotent procedures for people who operate ML inference services.

    `runbook play maintenance.yml --check` says what would be done; without `--check` it is done.
    """


def main() -> NoReturn:
    """Run the command and exit with the code that `runbook.errors` gives its outcome."""
    from runbook.cli.streams import open_standard

    open_standard()
    gc.disable()  # nothing that is made until a run starts is given up, and looking for it is a tenth of a small play
    code = _run()
    if len(threading.enumerate()) > 1:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End at once: a thread that a plugin has left behind may never end, and would be waited for."""
    import os

    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def _run() -> int:
    try:
        code = cli.main(prog_name="runbook", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except RunbookError as error:
        return _fail(str(error), error.exit_code)
    except SystemExit:  # click's own answer to a closed pipe
        return _unheard(BrokenPipeError())
    except (Stopped, KeyboardInterrupt, click.Abort) as stop:
        return _fail("interrupted", getattr(stop, "exit_code", 130))
    except Exception as error:  # noqa: BLE001 - the last resort: a fault of ours is said to be one
        return _unheard(error) if _is_of_output(error) else _bug(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        return _unheard(error)
    return code if isinstance(code, int) else 0


def _fail(text: str, code: int) -> int:
    click.echo(f"runbook: {text}", err=True)
    return code


def _is_of_output(error: Exception) -> bool:
    """Say whether it comes of writing to stdout: no file has a part in it."""
    return isinstance(error, OSError) and error.filename is None and error.errno in {EPIPE, ENOSPC, EIO}


def _unheard(error: Exception) -> int:
    """End where stdout takes no more: quietly if its reader has gone, as `head` does."""
    from runbook.cli.streams import silence

    silence()
    return 141 if isinstance(error, BrokenPipeError) else _fail(f"cannot write to stdout: {error}", 1)


def _bug(error: Exception) -> int:
    import platform
    import traceback

    click.echo("".join(traceback.format_exception(error)), err=True)
    where = f"runbook {__version__}, Python {platform.python_version()}, {platform.system()}"
    return _fail(f"this is a fault of runbook; please report the lines above with: {where}", 70)
