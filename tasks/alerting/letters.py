"""What is told: a title, a text, how bad it is, and a key by which whoever gets it twice can know it again."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["info", "warning", "critical"]
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Letter(BaseModel):
    """One message for every channel; `host` is the machine that it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    level: Level
    title: str
    text: str
    host: str
    at: datetime


def one_line(text: str, limit: int) -> str:
    """Give a text on one line and of at most so many bytes of UTF-8, with nothing in it that a terminal would obey."""
    data = _CONTROL.sub(" ", text).strip().encode()
    return data.decode() if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "..."
