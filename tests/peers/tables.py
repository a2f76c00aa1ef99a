"""What docs/language.md says that the core tasks lack, or have otherwise: the list of what may differ."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/language.md").read_text()


def _rows() -> dict[str, list[list[str]]]:
    start = PAGE.index("| task | params it lacks |")
    rows = PAGE[start:].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {cell[0].strip("`"): [re.findall("`([^`]+)`", text) for text in cell[1:3]] for cell in cells}


ROWS = _rows()
PARAMS = {task: set(cells[0]) for task, cells in ROWS.items()}
VALUES = {task: set(cells[1]) for task, cells in ROWS.items()}
EVERYWHERE = VALUES.pop("all")
PARAMS.pop("all")
