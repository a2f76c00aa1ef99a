"""Stopping the writers of a file for an instant, with somebody beside who continues them if runbook is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runbook.changes.rotation import Custody, Writer
from runbook.errors import TaskFailed

ROUNDS = 10  # looks for new writers, forked by those that are not stopped yet
LIMIT = 2.0  # seconds in which a process has to come to a halt
# Takes a process by its id for each line it reads, answers once it holds it, and continues all when the line is cut.
GUARD = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
held = []
for line in sys.stdin.buffer:
    try:
        held.append(os.pidfd_open(int(line)))
        said = b"+"
    except OSError:
        said = b"-"
    os.write(1, said)
for process in held:
    try:
        signal.pidfd_send_signal(process, signal.SIGCONT)
    except OSError:
        pass
"""


@contextmanager
def paused(look: Callable[[], Custody]) -> Iterator[None]:
    """Stop whoever writes the file, as `look` tells, and continue them when the body is left, however it is left.

    Those that somebody else has stopped already stay so. Raises TaskFailed if one cannot be stopped.
    """
    if not look().writers:
        yield
        return
    with _guard() as take:
        stopped: dict[int, int] = {}
        try:
            for _ in range(ROUNDS):
                running = [writer for writer in look().writers if writer.pid not in stopped and not _halted(writer.pid)]
                if not running:
                    break
                for writer in running:
                    _stop(writer, stopped, take)
            else:
                raise TaskFailed("the log cannot be paused: new processes open it as fast as they are stopped")
            yield
        finally:
            for process in stopped.values():
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGCONT)
                os.close(process)


@contextmanager
def _guard() -> Iterator[Callable[[int], bool]]:
    """Start the process that outlives us, and give what makes it responsible for another."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    ) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        line, answers = guard.stdin, guard.stdout

        def take(pid: int) -> bool:
            line.write(b"%d\n" % pid)
            answer = answers.read(1)
            if not answer:
                raise TaskFailed("the log cannot be paused: the guard that would continue its writers has ended")
            return answer == b"+"

        yield take


def _stop(writer: Writer, stopped: dict[int, int], take: Callable[[int], bool]) -> None:
    """Stop a process, once the guard holds it, and wait until it has come to a halt."""
    if not writer.stoppable:
        raise TaskFailed(f"the log cannot be paused: {writer} may not be stopped")
    try:
        process = os.pidfd_open(writer.pid)
    except ProcessLookupError:
        return
    stopped[writer.pid] = process
    if not take(writer.pid):
        return
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGSTOP)
    until = time.monotonic() + LIMIT
    while not _halted(writer.pid):
        if time.monotonic() > until:
            raise TaskFailed(f"the log cannot be paused: {writer} does not come to a halt within {LIMIT:g} s")
        time.sleep(0.0005)


def _halted(pid: int) -> bool:
    """Say whether every thread of a process is stopped or has ended."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        states = [
            Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] for thread in threads
        ]
    except (FileNotFoundError, ProcessLookupError):
        return not os.path.exists(f"/proc/{pid}/task")
    return all(state in "TtZX" for state in states)
