"""What a playbook says to `logs.rotate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from runbook.host.refusals import shown
from runbook.task import Params
from runbook.units import Age, Size

from .archived import LONGEST
from .telling import Reopen
from .ways import Wish


class Rotate(Params):
    """Which log, when it is due (`max_size` and `max_age`: either is enough, one must be given), and how it is cut."""

    path: Path = Field(description="the log; a link, or a file with a second name, is refused")
    max_size: Size | None = Field(None, description="the size from which it is rotated, as `100MB`")
    max_age: Age | None = Field(None, description="the age from which it is rotated, to the minute, as `7d`")
    keep: PositiveInt = Field(10, description="how many of its archives are kept")
    method: Wish = Field("auto", description="`auto` takes the best of the others that loses no line")
    reopen: Reopen | None = Field(
        None,
        description="how its writers are told to open it anew: `{signal: USR1}`, with `pid_file` or the `process` name"
        " where not all who write it are meant; or `{url: ...}`, with `method` (POST) and `headers`; and the `timeout`"
        " (10s) they have to do it",
    )
    missing_ok: bool = Field(default=False, description="without a log there is nothing to do; else that is an error")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.max_size is None and self.max_age is None:
            raise ValueError("without a rule it would never be due; write max_size, max_age or both")
        if self.reopen is None and self.method == "reopen":
            raise ValueError("`method: reopen` needs `reopen`, which says how the writers are told")
        if self.reopen is not None and self.method not in {"auto", "reopen"}:
            raise ValueError(f"nobody is told with `method: {self.method}`; leave `reopen` or the method out")
        if self.path.suffix == ".gz" or self.path.name in {"", ".."}:
            raise ValueError(f"{shown(self.path)} is no log; write the path of the file that is written now")
        if len(os.fsencode(self.path.name)) > LONGEST:
            raise ValueError(f"the log's name has more than {LONGEST} bytes, and its archives' are longer; shorten it")
        return self
