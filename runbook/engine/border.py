"""The plugin's border: whatever a plugin raises becomes a failed step that names it; the one blind `except`."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.errors import Bug, RunbookError, StepError, Stopped, TaskFailed, Unsure
from runbook.host import Host, guard
from runbook.task import TaskSpec

DEEPEST = 20


@contextmanager
def border(spec: TaskSpec, host: Host) -> Iterator[None]:
    """Let a step's errors through; of any other exception say its type, its message and where in the plugin it arose.

    `SystemExit` and `KeyboardInterrupt` of a plugin are no exception to that: only a signal ends a run, as `Stopped`.
    """
    try:
        yield
    except StepError as error:
        doubt = host.doubt()
        if host.imagined and doubt:
            raise Unsure(doubt, now=error.message) from error
        raise
    except (Unsure, Bug, Stopped):
        raise
    except RunbookError as error:
        raise TaskFailed(error.message, hint=error.hint) from error
    except BaseException as error:  # a plugin may raise anything
        frames = _frames(error)
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames[-DEEPEST:]), _named(error)]
        raise TaskFailed(
            f"{spec.name} raised {_named(error)}",
            hint=_place(spec, frames),
            data={"exception": "".join(lines)},
        ) from error


def _named(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - its own `__str__` is the plugin's, too
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Give where it passed through, without the engine's own calls that lead to the plugin."""
    frames = list(traceback.extract_tb(error.__traceback__))
    while frames and (Path(frames[0].filename).parent == Path(__file__).parent or frames[0].filename == guard.__file__):
        frames.pop(0)
    return frames


def _place(spec: TaskSpec, frames: list[traceback.FrameSummary]) -> str:
    """Name the last line of the plugin's own file, for what went wrong in a library went wrong by its call."""
    code = getattr(spec.function, "__code__", None)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    last = (own or frames)[-1:]
    return "".join(f"raised at {frame.filename}:{frame.lineno}; -v shows the whole way" for frame in last)
