"""The rehearsal of a restore that is interrupted: nothing that it unpacks stays, and the release is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from runbook.tasks.archives.manifest import BLANK, File, Manifest
from runbook.tasks.archives.pack import pack
from runbook.tasks.archives.sums import line
from tests.faults.scenarios import put
from tests.faults.sweep import Scenario
from tests.releasing import model

NAME = "release-20260310T020000Z-nogit.tar.gz"
BEFORE = b'{"schema": "runbook.rehearsal/1", "release": "release-20260101T020000Z-nogit.tar.gz"}\n'


@cache
def packed() -> tuple[bytes, str]:
    """Give a release with a model that really loads, and its SHA-256."""
    with TemporaryDirectory() as folder:
        files = {"config.yaml": b"lr: 1\n", "export/model.onnx": model(Path(folder) / "model.onnx").read_bytes()}
        told = tuple(File(name, len(content), BLANK) for name, content in sorted(files.items()))
        draft = Manifest("2026-03-10T02:00:00Z", None, None, "export/model.onnx", told)
        made = pack(Path(folder) / NAME, draft, 0, frozenset(), lambda name: iter([files[name]]))
        return (Path(folder) / NAME).read_bytes(), made.sha256


def prepare_rehearse(work: Path) -> None:
    """Have a release, and the report of an earlier rehearsal."""
    content, sha256 = packed()
    put(work / NAME, content, age=3)
    put(work / f"{NAME}.sha256", line(sha256, NAME), age=3)
    put(work / "rehearsal.json", BEFORE, age=30)


def rehearse_intact(work: Path) -> Iterator[str]:
    if (work / NAME).read_bytes() != packed()[0]:
        yield "the release was touched"
    told = (work / "rehearsal.json").read_bytes()
    if told != BEFORE and not (told.endswith(b"}\n") and json.loads(told)["outputs"] == [[1, 4]]):
        yield "the report is neither the old one nor the new one"


REHEARSE = Scenario(
    "release.rehearse",
    """
    - release.rehearse: {directory: "{{ exp_dir }}", seed: 7}
    """.lstrip("\n").rstrip(" "),
    prepare_rehearse,
    rehearse_intact,
    costly=True,
    children=True,
)
