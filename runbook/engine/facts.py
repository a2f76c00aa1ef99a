"""The magic variables that are about the run as a whole: its id, its mode, its frozen moment, the machine's facts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from runbook.engine.clock import stamp
from runbook.events import Mode
from runbook.host import Host
from runbook.variables import Late


def said_of_run(host: Host, *, run_id: str, mode: Mode, diff: bool, forks: int) -> dict[str, Any]:
    """Give them; what costs anything is computed when it is read."""
    return {
        "ansible_check_mode": mode != "run",
        "ansible_date_time": Late(lambda: _date_time(host.now)),
        "ansible_diff_mode": diff,
        "ansible_facts": Late(lambda: dict(host.facts)),
        "facts": Late(lambda: dict(host.facts)),
        "ansible_forks": forks,
        "run_id": run_id,
    }


def _date_time(now: datetime) -> dict[str, str]:
    """Write the run's moment in UTC under the keys that Ansible's fact of the name has."""
    return {
        "date": f"{now:%Y-%m-%d}",
        "time": f"{now:%H:%M:%S}",
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
        "weekday": f"{now:%A}",
        "epoch": str(int(now.timestamp())),
        "iso8601": stamp(now)[:19] + "Z",
        "iso8601_basic_short": f"{now:%Y%m%dT%H%M%S}",
        "tz": "UTC",
    }
