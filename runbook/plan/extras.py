"""What a task needs beside the core: the extras of this package, and which modules show that one is there."""

from __future__ import annotations

from importlib.util import find_spec

from runbook.playbook.model import Step
from runbook.task import TaskSpec

# The extra `gpu` brings the same modules as `onnx`.
MODULES = {
    "onnx": ("onnx", "onnxruntime", "PIL"),
    "torch": ("torch", "onnxscript"),
    "serve": ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "PIL"),
}


def refuse_lacking(spec: TaskSpec, step: Step) -> None:
    """Raise Invalid, with what to install, where a task's optional dependencies are not there; nothing is imported."""
    needed = [name for extra in (spec.extra or "").split(",") for name in MODULES.get(extra, ())]
    lacking = [name for name in needed if find_spec(name) is None]
    if lacking:
        named = " and ".join(filter(None, (", ".join(lacking[:-1]), lacking[-1])))
        message = f"{spec.name} needs {named}, which {'is' if len(lacking) == 1 else 'are'} not installed"
        hint = f"pip install 'runbook[{spec.extra}]'"
        raise step.document.problem(message, (*step.path, step.task), key=True, hint=hint)
