"""What may be done to a machine, as frozen values; a task yields them and the engine applies them."""

from runbook.changes.base import Change, Content, Gate, Machine, RunCommand, Send, after
from runbook.changes.files import Chmod, Compress, Link, MakeFolder, Move, Produce, Remove, Write
from runbook.changes.processes import Request, Run
from runbook.changes.values import Completed, Exchange, FileRef, Found, Response, Stat, Usage
from runbook.unknown import ABSENT, then

__all__ = [
    "ABSENT",
    "Change",
    "Chmod",
    "Completed",
    "Compress",
    "Content",
    "Exchange",
    "FileRef",
    "Found",
    "Gate",
    "Link",
    "Machine",
    "MakeFolder",
    "Move",
    "Produce",
    "Remove",
    "Request",
    "Response",
    "Run",
    "RunCommand",
    "Send",
    "Stat",
    "Usage",
    "Write",
    "after",
    "then",
]
