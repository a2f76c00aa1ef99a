"""The command lines that Windows would be given, to the byte: as Python joins arguments there."""

from subprocess import list2cmdline

from runbook.changes import Completed
from runbook.registry import Registry
from runbook.testing import MemoryHost

CONFIG = r'"C:\Program Files\cf\cloudflared.exe" --config "C:\cf\config.yml" tunnel run 0f1e2d'


def lines(task: str, answers: dict, **params) -> list[str]:
    spec = Registry().spec(task)
    host = MemoryHost(answers=answers)
    return [list2cmdline(change.command.argv) for change in spec.function(spec.params(**params), host)]


def test_sc_config_is_as_an_operator_writes_it():
    answers = {
        "sc.exe qc Cloudflared 8192": [Completed((), 0, "BINARY_PATH_NAME : old\nSTART_TYPE : 3 DEMAND_START\n")],
        "sc.exe query Cloudflared": [Completed((), 0, "STATE : 1  STOPPED\n")],
    }
    assert lines("windows.service", answers, name="Cloudflared", command=CONFIG, start="auto", state="started") == [
        (
            r'sc.exe config Cloudflared binPath= "\"C:\Program Files\cf\cloudflared.exe\" --config \"C:\cf\config.yml\" '
            r'tunnel run 0f1e2d" start= auto'
        ),
        "sc.exe start Cloudflared",
    ]


def test_icacls_is_as_an_operator_writes_it():
    answers = {"icacls 'C:\\cf'": [Completed((), 0, "C:\\cf Everyone:(I)(F)\n")]}
    assert lines("windows.acl", answers, path=r"C:\cf") == [
        r"icacls C:\cf /inheritance:r /grant:r Administrators:(OI)(CI)(F) SYSTEM:(OI)(CI)(F) /T /C"
    ]


def test_schtasks():
    missing = {"schtasks.exe /Query /TN 'a b' /XML": [Completed((), 1, "", "ERROR\n")]}
    spec = Registry().spec("schedule.windows")
    host = MemoryHost(answers=missing)
    want = spec.params(name="a b", at="03:00", argv=["x.exe"], folder=r"/C:\ProgramData\runbook")
    last = list(spec.function(want, host))[-1]
    assert list2cmdline(last.command.argv) == (
        r'schtasks.exe /Create /TN "a b" /XML "/C:\ProgramData\runbook/a b.xml" /F'
    )
