"""The interpreter, the libraries of the core, the folder for state, the clock, and who starts jobs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from runbook.checkup.finding import Finding

OLDEST = (3, 11)  # as pyproject.toml has it
LITTLE = 100_000_000  # bytes that should be free for reports
PIECE = bytes(65_536)
BEHIND_S = 60.0  # files may be so much younger than now: other machines write to shared folders
UNSYNCHRONISED = 5  # what adjtimex(2) gives where nobody keeps the clock


def python(_home: Path) -> Iterator[Finding]:
    """Look at the interpreter."""
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < OLDEST:
        hint = f"runbook needs {'.'.join(map(str, OLDEST))} or later: make a new environment with one"
        yield Finding("python", "fail", text, hint)
    else:
        yield Finding("python", "ok", text)


def yaml_reader(_home: Path) -> Iterator[Finding]:
    """Look for the C library that playbooks are read by."""
    import yaml

    if yaml.__with_libyaml__:
        yield Finding("libyaml", "ok", f"PyYAML {yaml.__version__} reads by libyaml")
        return
    hint = "install libyaml's headers (Debian: libyaml-dev), then pip install --force-reinstall --no-cache-dir pyyaml"
    yield Finding("libyaml", "warn", f"PyYAML {yaml.__version__} is without libyaml: playbooks are read slowly", hint)


def compression(_home: Path) -> Iterator[Finding]:
    """Compress something, as archives of logs and releases are."""
    try:
        from isal import igzip

        same = igzip.decompress(igzip.compress(PIECE)) == PIECE  # type: ignore[no-untyped-call]
    except (ImportError, OSError) as error:
        same, reason = False, str(error)
    else:
        reason = "what is decompressed is not what was compressed"
    if same:
        yield Finding("isal", "ok", "compresses archives")
    else:
        yield Finding("isal", "fail", f"archives cannot be written: {reason}", "pip install --force-reinstall isal")


def state_folder(home: Path) -> Iterator[Finding]:
    """Write, flush and lock a file where reports and locks are kept; nothing of it is left."""
    there = next(path for path in (home, *home.parents) if os.path.lexists(path))
    hint = "give another folder by --state-dir or $RUNBOOK_HOME"
    if not there.is_dir():
        yield Finding("state folder", "fail", f"{home} cannot be made: {there} is no folder", hint)
        return
    try:
        _write_in(there)
        free = shutil.disk_usage(there).free
    except OSError as error:
        text = f"{home} cannot be written: {error.strerror or error}"
        yield Finding("state folder", "fail", text, f"mend {there}, or {hint}")
        return
    made = "" if there == home else ", not yet made"
    text = f"{home}{made}; {free / 1e9:.1f} GB free"
    if free < LITTLE:
        hint = "make room: a run whose report cannot be written fails; `runbook runs prune --days 7` removes reports"
        yield Finding("state folder", "warn", text, hint)
    else:
        yield Finding("state folder", "ok", text)


def _write_in(folder: Path) -> None:
    from filelock import FileLock, Timeout

    with tempfile.TemporaryDirectory(prefix=".runbook-doctor-", dir=folder) as made:
        with Path(made, "file").open("wb") as file:
            file.write(PIECE)
            file.flush()
            os.fsync(file.fileno())
        try:
            with FileLock(Path(made, "lock"), timeout=1):
                return
        except (Timeout, NotImplementedError) as error:
            raise OSError(f"files there cannot be locked ({error})") from error


def time_of_day(home: Path) -> Iterator[Finding]:
    """Hold the clock against the newest run, and ask whether anybody keeps it."""
    now = time.time()
    text = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    stands = {"the newest run": home / "runs", "this installation": Path(__file__)}
    younger = [name for name, path in stands.items() if path.exists() and path.stat().st_mtime > now + BEHIND_S]
    if younger:
        hint = "set the clock: ages of files, names of releases and times of jobs go by it"
        yield Finding("clock", "fail", f"{text} is before {' and '.join(younger)}", hint)
    elif _synchronised() is False:
        hint = "start chrony or systemd-timesyncd, on the host where this is a container"
        yield Finding("clock", "warn", f"{text}, which no time service keeps", hint)
    else:
        yield Finding("clock", "ok", text)


def _synchronised() -> bool | None:
    """Say whether the kernel's clock is kept by somebody; None where it does not tell."""
    if sys.platform != "linux":
        return None
    import ctypes

    # All its fields zero: it only reads. The struct has 208 bytes.
    answer: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    return None if answer < 0 else answer != UNSYNCHRONISED


def scheduler(_home: Path) -> Iterator[Finding]:
    """Look for what starts jobs at their times."""
    if os.name == "nt":
        lacking = [name for name in ("schtasks.exe", "sc.exe") if not shutil.which(name)]
        hint = "put C:\\Windows\\System32 on the PATH"
        found = Finding("scheduler", "warn", f"{' and '.join(lacking)} is not to be found", hint)
        yield found if lacking else Finding("scheduler", "ok", "the Windows Task Scheduler")
        return
    systemd = os.path.isdir("/run/systemd/system")
    cron = shutil.which("crontab") is not None
    if cron and (sys.platform == "darwin" or _runs({"cron", "crond", "fcron", "anacron"})):
        yield Finding("scheduler", "ok", "cron is at work")
    elif systemd:
        yield Finding("scheduler", "ok", "systemd is at work: runbook schedule install --provider systemd")
    elif cron:
        hint = "start it: `service cron start`, or `cron` in a container"
        yield Finding("scheduler", "warn", "there is a crontab, and no cron runs that would read it", hint)
    else:
        hint = "`runbook schedule` needs one of them (Debian: apt install cron)"
        yield Finding("scheduler", "warn", "this machine has neither cron nor systemd at work", hint)


def _runs(names: set[str]) -> bool:
    """Say whether a process bears one of the names."""
    import psutil

    return any(process.info["name"] in names for process in psutil.process_iter(["name"]))
