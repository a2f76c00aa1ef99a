"""The XML of a task of the Windows Task Scheduler, in the bytes that `schtasks.exe /Create /XML` reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from xml.etree import ElementTree as ET

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
FROM = "2025-01-01"  # triggers need a day to count from; any that is past


@dataclass(frozen=True, slots=True)
class Job:
    """What is run, and when: daily `at` HH:MM, or `every` so many seconds; `limit` in seconds."""

    description: str
    command: str
    arguments: str
    folder: str | None
    at: str | None
    every: int | None
    limit: int
    system: bool


def document(job: Job) -> bytes:
    """Give the file: UTF-16 with its mark, CRLF, and in `Source` a digest by which the task is known again."""
    root = ET.Element("Task", {"version": "1.2", "xmlns": NAMESPACE})
    about = ET.SubElement(root, "RegistrationInfo")
    source = _add(about, "Source", "")
    _add(about, "Description", job.description)
    _trigger(ET.SubElement(root, "Triggers"), job)
    principal = ET.SubElement(ET.SubElement(root, "Principals"), "Principal", {"id": "Author"})
    if job.system:
        _add(principal, "UserId", "S-1-5-18")
        _add(principal, "RunLevel", "HighestAvailable")
    else:
        _add(principal, "LogonType", "InteractiveToken")
        _add(principal, "RunLevel", "LeastPrivilege")
    _settings(ET.SubElement(root, "Settings"), job.limit)
    run = ET.SubElement(ET.SubElement(root, "Actions", {"Context": "Author"}), "Exec")
    _add(run, "Command", job.command)
    _add(run, "Arguments", job.arguments)
    if job.folder:
        _add(run, "WorkingDirectory", job.folder)
    ET.indent(root)
    source.text = f"runbook {hashlib.sha256(ET.tostring(root)).hexdigest()[:32]}"
    text = f'<?xml version="1.0" encoding="UTF-16"?>\n{ET.tostring(root, encoding="unicode")}\n'
    return ("\ufeff" + text.replace("\n", "\r\n")).encode("utf-16-le")


def mark(content: bytes) -> str:
    """Give the digest in `Source` of a document."""
    text = content.decode("utf-16")
    return text.partition("<Source>")[2].partition("</Source>")[0]


def _trigger(triggers: ET.Element, job: Job) -> None:
    kind = "CalendarTrigger" if job.at is not None else "TimeTrigger"
    trigger = ET.SubElement(triggers, kind)
    if job.every is not None:
        repetition = ET.SubElement(trigger, "Repetition")
        _add(repetition, "Interval", span(job.every))
        _add(repetition, "StopAtDurationEnd", "false")
    _add(trigger, "StartBoundary", f"{FROM}T{job.at or '00:00'}:00")
    _add(trigger, "Enabled", "true")
    if job.at is not None:
        _add(ET.SubElement(trigger, "ScheduleByDay"), "DaysInterval", "1")


def _settings(settings: ET.Element, limit: int) -> None:
    """Write out what else the scheduler decides: each default but the first would now and then leave a job undone."""
    _add(settings, "MultipleInstancesPolicy", "IgnoreNew")
    _add(settings, "DisallowStartIfOnBatteries", "false")
    _add(settings, "StopIfGoingOnBatteries", "false")
    _add(settings, "StartWhenAvailable", "true")
    _add(settings, "ExecutionTimeLimit", span(limit))


def span(seconds: int) -> str:
    """Write a time in ISO 8601: `PT1H30M`."""
    hours, rest = divmod(seconds, 3600)
    parts = [(hours, "H"), (rest // 60, "M"), (rest % 60, "S")]
    return "PT" + ("".join(f"{count}{unit}" for count, unit in parts if count) or "0S")


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = text
    return child
