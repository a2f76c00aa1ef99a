"""One task on the real machine, as the engine does it, without a playbook."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runbook.engine.rounds import Record, perform
from runbook.errors import RunbookError, StepError
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.testing.laws import Silent


def do(task: str, **params: Any) -> dict[str, Any]:
    """Give what a task returns, with `changed`, `failed` and, if it failed, `msg`."""
    spec = Registry().spec(task)
    host = LocalHost(now=datetime.now(UTC), cwd=Path("/"), env=dict(os.environ), run_id="x", umask=0o022)
    record = Record()
    try:
        perform(spec, spec.params.model_validate(params), host, record, Silent())
    except (RunbookError, ValidationError) as error:
        data = error.data if isinstance(error, StepError) else {}
        return {"msg": str(error), **data, "changed": False, "failed": True}
    finally:
        host.close()
    return {"changed": bool(record.changes), "failed": False, **record.data}
