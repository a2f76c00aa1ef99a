"""The clients of services that tasks declare with `@task(reads=...)`, opened when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from runbook.errors import TaskFailed

# name: (module, the function in it that opens the client, the extra that brings it)
OPENERS = {
    "docker": ("docker", "from_env", "docker"),
    "mlflow": ("mlflow", "MlflowClient", "mlflow"),
    "huggingface": ("huggingface_hub", "HfApi", "hf"),
}


def open_client(name: str) -> Any:
    """Import the library of a service and open its client; raises TaskFailed with what to install."""
    if name not in OPENERS:
        raise TaskFailed(f"there is no client {name!r}", hint=f"declare one of these: {', '.join(sorted(OPENERS))}")
    module, opener, extra = OPENERS[name]
    try:
        library = importlib.import_module(module)
    except ImportError as error:
        raise TaskFailed(
            f"the client {name!r} needs the library {module}", hint=f"pip install 'runbook[{extra}]'"
        ) from error
    try:
        return getattr(library, opener)()
    except Exception as error:
        raise TaskFailed(f"cannot open the client {name!r}: {type(error).__name__}: {error}") from error
