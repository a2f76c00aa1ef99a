"""Timers of systemd that its own tools accept, and tasks of Windows to the byte of their XML."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.tasks import schedule
from runbook.tasks.scheduling import task_xml

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
DAILY = {
    "name": "daily",
    "at": "03:00",
    "argv": [r"C:\Program Files\runbook\runbook.exe", "play", "C:\\ops\\", 'say "hi" & <bye>', ""],
    "limit": "1h30m",
    "account": "me",
}
# What the Task Scheduler is to read; `limit` and the batteries would otherwise be 72 hours and a job left undone.
DAILY_XML = r"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Source>runbook MARK</Source>
    <Description>daily</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2025-01-01T03:00:00</StartBoundary>
      <Enabled>true</Enabled>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT1H30M</ExecutionTimeLimit>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>C:\Program Files\runbook\runbook.exe</Command>
      <Arguments>play C:\ops\ "say \"hi\" &amp; &lt;bye&gt;" ""</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def document(**params) -> bytes:
    return task_xml.document(schedule._job(Registry().spec("schedule.windows").params(**params)))


def test_a_task_of_windows_to_the_byte():
    content = document(**DAILY)
    mark = task_xml.mark(content)
    assert mark.startswith("runbook ")
    text = DAILY_XML.replace("runbook MARK", mark).replace("\n", "\r\n")
    assert content == b"\xff\xfe" + text.encode("utf-16-le")
    assert ET.fromstring(content).tag.endswith("}Task")


def test_a_task_is_known_by_what_it_says():
    assert document(**DAILY) == document(**DAILY)
    others = [{"at": "03:01"}, {"argv": ["x"]}, {"limit": "1h"}, {"account": "system"}, {"description": "x"}]
    marks = {task_xml.mark(document(**DAILY)), *(task_xml.mark(document(**DAILY | other)) for other in others)}
    assert len(marks) == len(others) + 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze (Debian: systemd)")
def test_systemds_own_tools_accept_the_units(tmp_path):
    """They verify, and what `enable` does is done by systemctl itself in another root; no systemd is running here."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    fakes = (
        tmp_path / "bin"
    )  # a systemctl that answers as a machine with nothing of that name; the tools are the real ones
    fakes.mkdir()
    (fakes / "systemctl").write_text(
        '#!/bin/sh\nprintf "%s\\n" ActiveState=inactive UnitFileState= NeedDaemonReload=no\n'
    )
    (fakes / "systemctl").chmod(0o755)
    host = LocalHost(now=NOW, cwd=tmp_path, env={"PATH": f"{fakes}:/usr/bin:/bin"}, run_id="units")
    spec = Registry().spec("schedule.systemd")
    want = spec.params(
        name="daily",
        calendar="Mon..Fri *-*-* 02:00:00",
        argv=["/bin/echo", "a b", "$HOME", "100%", 'q"q', "it's", "\\n", ";", "-e"],
        description="100% of it",
        chdir="/tmp",
        environment={"A": "x y%h", "B": 'q"$x'},
        folder=str(units),
    )
    changes = list(spec.function(want, host))
    assert [change.target for change in changes[2:]] == [
        "systemctl daemon-reload",
        "systemctl enable --now daily.timer",
    ]
    for change in changes[:2]:
        change.apply(host)
    files = [str(units / name) for name in ("daily.service", "daily.timer")]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    ours = [line for line in verified.stderr.splitlines() if "daily" in line]
    assert (verified.returncode, ours) == (0, []), verified.stderr
    subprocess.run(["systemctl", f"--root={tmp_path}", "enable", "daily.timer"], check=True, capture_output=True)
    link = units / "timers.target.wants/daily.timer"
    assert link.is_symlink()
    assert Path(link.readlink()).name == "daily.timer"
    with pytest.raises(Exception, match="does not understand '25:61'"):
        list(spec.function(want.model_copy(update={"calendar": "25:61"}), host))
