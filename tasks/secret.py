"""Secrets made on the spot: random, never shown, handed on by `register`."""

from __future__ import annotations

import secrets
from typing import Any

from pydantic import Field

from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Secret


class Generate(Params):
    """How strong a secret."""

    bytes: int = Field(32, ge=16, le=1024, description="how many random bytes; the value has twice as many characters")


@task(
    kind="action",
    returns={"value": "the secret, in hexadecimal: masked wherever it would show", "bytes": "how strong it is"},
)
def generate(want: Generate, host: Host) -> dict[str, Any]:  # noqa: ARG001 - it comes from the system's random source
    """Make a random secret, for a step that registers it: `{{ key.value }}` hands it on to env.set.

    Another one is made each time, in check mode too. It is kept nowhere unless a later step keeps it.
    """
    return {"value": Secret(secrets.token_hex(want.bytes)), "bytes": want.bytes}
