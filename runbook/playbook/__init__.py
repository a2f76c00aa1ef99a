"""What a user asked for: playbooks as typed values, templates in them still as text."""

from runbook.playbook.find import find_playbook, shipped_playbooks
from runbook.playbook.keywords import KEYWORDS, Keyword
from runbook.playbook.load import load_playbook, load_steps_file, parse_steps
from runbook.playbook.model import Block, Include, Item, LoopControl, Play, Playbook, Step, Written

__all__ = [
    "KEYWORDS",
    "Block",
    "Include",
    "Item",
    "Keyword",
    "LoopControl",
    "Play",
    "Playbook",
    "Step",
    "Written",
    "find_playbook",
    "load_playbook",
    "load_steps_file",
    "parse_steps",
    "shipped_playbooks",
]
