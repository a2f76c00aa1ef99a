"""Where a release comes from: an unsigned in-toto Statement with a SLSA provenance predicate."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from runbook.host import Host

from .manifest import STAMP
from .pack import Packed

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"


def statement(host: Host, name: str, packed: Packed, asked: dict[str, Any]) -> bytes:
    """Give the statement about an archive as JSON; `asked` is what the task was told, without anything secret."""
    manifest = packed.manifest
    sources: list[dict[str, Any]] = [
        {"name": file.path, "digest": {"sha256": file.sha256}} for file in sorted(manifest.files)
    ]
    if manifest.git:
        sources.insert(0, {"name": "source", "digest": {"gitCommit": manifest.git}})
    said = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": packed.sha256}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:runbook:release.build:1",
                "externalParameters": asked,
                "internalParameters": {"created": manifest.created},
                "resolvedDependencies": sources,
            },
            "runDetails": {
                "builder": {
                    "id": f"urn:runbook:host:{host.facts['hostname']}",
                    "version": {"runbook": version("runbook")},
                },
                "metadata": {"startedOn": f"{host.now:{STAMP}}"},
            },
        },
    }
    return (json.dumps(said, indent=1) + "\n").encode()
