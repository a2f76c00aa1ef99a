"""What goes on between a child process and us: it is fed, heard and watched until it ends, and its group with it."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

from runbook.host.processes.capture import Capture

GRACE = 2.0
LINGER = 0.5
_PIECE = 2**16


def converse(
    child: subprocess.Popen[bytes], feed: bytes, captures: tuple[Capture, Capture], until: float | None
) -> bool:
    """Feed and hear the child until it has ended; False if its time was over before, at the monotonic `until`."""
    with selectors.DefaultSelector() as selector:
        streams = _register(selector, child, feed, captures)
        watch = _watch(selector, child)
        try:
            while not ended(child):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                step = left if watch is not None else min(0.05, left if left is not None else 0.05)
                _turn(selector, step)
            send(child, signal.SIGKILL)  # what it left in its group; its own id is not free before it is waited for
            end = time.monotonic() + LINGER
            while any(stream in selector.get_map() for stream in streams) and (left := end - time.monotonic()) > 0:
                if watch is not None and watch in selector.get_map():
                    selector.unregister(watch)
                _turn(selector, left)
        finally:
            if watch is not None:
                os.close(watch)
    return True


def _register(
    selector: selectors.BaseSelector,
    child: subprocess.Popen[bytes],
    feed: bytes,
    captures: tuple[Capture, Capture],
) -> list[Any]:
    streams = [child.stdout, child.stderr]
    for stream, capture in zip(streams, captures, strict=True):
        assert stream is not None
        selector.register(stream, selectors.EVENT_READ, capture)
    if child.stdin is not None:
        os.set_blocking(child.stdin.fileno(), False)
        selector.register(child.stdin, selectors.EVENT_WRITE, bytearray(feed))
    return streams


def _watch(selector: selectors.BaseSelector, child: subprocess.Popen[bytes]) -> int | None:
    """Give a descriptor that is readable when the child has ended; None where the system has no such thing."""
    try:
        descriptor = os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        return None
    selector.register(descriptor, selectors.EVENT_READ, None)
    return descriptor


def _turn(selector: selectors.BaseSelector, seconds: float | None) -> None:
    for key, _ in selector.select(seconds):
        stream: Any = key.fileobj
        if isinstance(key.data, Capture):
            piece = os.read(key.fd, _PIECE)
            if piece:
                key.data.feed(piece)
            else:
                selector.unregister(stream)
        elif isinstance(key.data, bytearray):
            try:
                del key.data[: os.write(key.fd, key.data[:_PIECE])]
            except BrokenPipeError:  # it does not want to hear the rest
                key.data.clear()
            if not key.data:
                selector.unregister(stream)
                stream.close()


def ended(child: subprocess.Popen[bytes]) -> bool:
    """Say whether it has ended, without freeing its id: its group may still have to be ended."""
    if child.returncode is not None:
        return True
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return True


def send(child: subprocess.Popen[bytes], number: int) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the child's group, and close its streams."""
    if not ended(child):
        send(child, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and not ended(child):
            time.sleep(0.02)
    send(child, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
