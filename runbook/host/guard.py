"""The purity guard: while a plugin plans, whatever it does to the machine beside its changes is refused and recorded.

It is a guard against mistakes, not a sandbox. `install` adds one audit hook to the interpreter, which nothing can take
away: only the command calls it. A guard is active in the context that entered `planning`, and in threads started there.

What it cannot see: `mkfifo` and `mknod`; what goes through a descriptor, mapping or connection that was open before;
C code that makes system calls itself (ctypes functions, extension modules); `umask`; a pool's thread that was there
before, as its context is not the plugin's; what a module does while it is imported, which is let through because
importing writes `.pyc` files, loads libraries and sets variables; Python objects that the plugin shares with others.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, NoReturn

from runbook.changes import Change
from runbook.errors import ImpurePlan, TaskFailed
from runbook.host.deeds import INSTEAD, VERBS

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = {"/dev/null", os.devnull}
_ASKING = {"platform", "ctypes.util"}  # they run `uname` and `ldconfig` to answer
_THREADS = {"_thread.start_new_thread", "_thread.start_joinable_thread"}
_EVENTS = frozenset({"open", *VERBS, *_THREADS})


class Guard:
    """What watches one plan; `violations` says what the plugin did, also where it swallowed the exception."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.violations: list[str] = []

    def refuse(self, deed: str, instead: str = "yield a change instead") -> NoReturn:
        """Record and raise."""
        self.violations.append(f"plugin {self.plugin!r} {deed} while planning; {instead}")
        raise ImpurePlan(self.violations[-1], data={"violations": list(self.violations)})

    def check(self) -> None:
        """Raise what was refused, if the plugin has swallowed it."""
        if self.violations:
            raise ImpurePlan(self.violations[0], data={"violations": list(self.violations)})


_active: ContextVar[Guard | None] = ContextVar("runbook_guard", default=None)
# Threads that plugins have started: theirs is an empty context. Guards are forgotten with their threads.
_threads: weakref.WeakKeyDictionary[threading.Thread, Guard] = weakref.WeakKeyDictionary()
_LIFTED = Guard("")  # in a guarded thread, "none" has to be told from "nothing was set"
_installed = threading.Event()


def install() -> None:
    """Add the audit hook, once; it stays for the life of the process. Without it only `forbid` refuses anything."""
    if not _installed.is_set():
        _installed.set()
        sys.addaudithook(_hook)
        if sys.version_info < (3, 12):
            _tell_of_threads()


def _tell_of_threads() -> None:
    """Raise the event of a new thread, which interpreters before 3.12 do not."""
    begin = _thread.start_new_thread

    def start_new_thread(function: Callable[..., Any], args: tuple[Any, ...], *more: Any) -> int:
        _hook("_thread.start_new_thread", (function, args, *more))
        return begin(function, args, *more)

    for module, name in ((_thread, "start_new_thread"), (threading, "_start_new_thread")):
        setattr(module, name, start_new_thread)


def active() -> Guard | None:
    """Give the guard that watches this context or thread."""
    guard = _active.get()
    if guard is None and _threads:
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001 - current_thread() would make one up for a thread that is just starting
        guard = _threads.get(thread) if thread is not None else None
    return None if guard is _LIFTED else guard


def forbid(deed: str) -> None:
    """Refuse what only a change may call, for the hosts' mutators: `forbid("write")`."""
    guard = active()
    if guard is not None:
        guard.refuse(f"called host.{deed}", "yield the change instead, the engine calls the host")


@contextmanager
def watching(guard: Guard) -> Iterator[Guard]:
    """Put the guard up for a while; a swallowed violation is raised at the end, before any other error."""
    token = _active.set(guard)
    try:
        yield guard
    except Exception as error:
        if guard.violations and not isinstance(error, ImpurePlan):
            raise ImpurePlan(guard.violations[0], data={"violations": list(guard.violations)}) from error
        raise
    finally:
        _active.reset(token)
    guard.check()


@contextmanager
def planning(plugin: str) -> Iterator[Guard]:
    """Watch a plan of this plugin: inside, writing raises `ImpurePlan`; so does leaving, if that was swallowed."""
    with watching(Guard(plugin)) as guard:
        yield guard


@contextmanager
def lifted() -> Iterator[None]:
    """Take the guard down for a while: for the Host's own seams, and for optional imports."""
    token = _active.set(_LIFTED)
    try:
        yield
    finally:
        _active.reset(token)


def drive(plugin: str, call: Callable[[], Any], take: Callable[[Change], None]) -> Any:
    """Call a plugin under guard and take each change as it is yielded; gives what the plugin returns.

    The call, each `next()` and the `close()` are watched; `take` is not. Of a list or tuple, each change is taken.
    Raises `ImpurePlan`, `TaskFailed` for anything yielded that is no change, and whatever the plugin or `take` raises.
    """
    guard = Guard(plugin)
    with watching(guard):
        result = call()
    if isinstance(result, Change):
        result = (result,)
    if isinstance(result, list | tuple):
        for change in result:
            take(_change(plugin, change))
        return None
    if not isinstance(result, Iterator):
        return result
    try:
        while True:
            with watching(guard):
                try:
                    change = next(result)
                except StopIteration as end:
                    return end.value
            take(_change(plugin, change))
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            with watching(guard):
                close()


def _change(plugin: str, value: Any) -> Change:
    if isinstance(value, Change):
        return value
    raise TaskFailed(
        f"plugin {plugin!r} yielded {type(value).__name__}, which is no change",
        hint="yield changes of runbook.changes; what `register` is to get is returned",
    )


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    guard = active()
    if guard is None:
        return
    if event in _THREADS:
        _adopt(guard, args)
        return
    deed = _opened(args) if event == "open" else _did(event, args)
    if deed is not None and not _excused(sys._getframe(1)):  # noqa: SLF001 - there is no other way to see who calls
        guard.refuse(deed, INSTEAD.get(event, "yield a change instead"))


def _adopt(guard: Guard, args: tuple[Any, ...]) -> None:
    """Watch a thread that a plugin starts; one without a Thread object cannot be known again, and is refused."""
    thread = getattr(args[0], "__self__", None) if args else None
    if not isinstance(thread, threading.Thread):
        guard.refuse("started a raw thread", "use threading.Thread")
    _threads[thread] = guard


def _opened(args: tuple[Any, ...]) -> str | None:
    path, flags = args[0], args[2]
    if not isinstance(flags, int) or not flags & _WRITING or isinstance(path, int) or _text(path) in _HARMLESS:
        return None
    return f"opened {_text(path)} for writing"


def _did(event: str, args: tuple[Any, ...]) -> str | None:
    texts = [_text(arg) for arg in args]
    if event == "sqlite3.connect" and (texts[0] == ":memory:" or "mode=ro" in texts[0]):
        return None
    return VERBS[event].format(*texts, *["?", "?"])


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, bytes | os.PathLike) else str(value)


def _excused(frame: FrameType | None) -> bool:
    """Say whether the deed is an import's, or one of the library's ways of asking, of which nothing stays."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename == __file__:
            return False  # what stands above is the engine's
        if code.co_filename.startswith("<frozen importlib"):
            return True
        module = frame.f_globals.get("__name__")
        if module in _ASKING or (module == "tempfile" and code.co_name == "_get_default_tempdir"):
            return True
        frame = frame.f_back
    return False
