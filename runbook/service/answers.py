"""What the service says of its model, of its answers, and of reloads that fail."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from runbook.service.classifier import Classifier
from runbook.service.hot_reload import ReloadUnderWay
from runbook.service.refusals import Refused

log = logging.getLogger(__name__)


def absolute(given: str) -> Path:
    """Give the path that was asked for, from the working folder on; links stay as they are."""
    return Path(os.path.abspath(given))


def same_classes(old: Classifier, new: Classifier) -> None:
    """Refuse a model of another class count; warn of other labels, which clients may not expect."""
    if new.classes != old.classes:
        text = f"{new.file.path} has {new.classes} classes, and the model that serves has {old.classes}"
        raise Refused(f"{text}; start the service with it instead", code="class_mismatch")
    if new.labels != old.labels:
        log.warning("the labels change with this model", extra={"event": "labels_changed"})


def refusal(failed: Exception) -> Refused:
    """Give what a client is told of a reload that failed."""
    if isinstance(failed, ReloadUnderWay):
        return Refused("another reload is under way; ask again when it is done", code="busy")
    cause = failed.__cause__
    if isinstance(cause, Refused):
        return cause
    if isinstance(cause, TimeoutError):
        return Refused(f"the model was not ready in time: {cause}", code="timeout")
    return Refused(f"the model cannot serve: {failed}", code="unsuitable")


def answer_of(model: Classifier, row: np.ndarray) -> dict[str, Any]:
    """Give the answer for one input."""
    best = int(row.argmax())
    return {
        "label": model.labels[best],
        "confidence": float(row[best]),
        "class": best,
        "probabilities": row.tolist(),
    }


def about_model(model: Classifier, worker: str) -> dict[str, Any]:
    """Describe a model: the path is the one asked for, made absolute, links not followed; the hash tells what it is."""
    return {
        "model_path": str(model.file.path),
        "sha256": model.file.sha256,
        "classes": model.classes,
        "loaded_at": model.loaded_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "worker": worker,
        "labels": list(model.labels),
        "input_shape": list(model.shape),
        "takes_images": model.preprocessing is not None,
        "files": [{"name": name, "sha256": digest} for name, digest in model.file.pieces],
        "providers": model.session.get_providers(),
        "session": {"options": model.options.model_dump(), "graph": "kept" if model.cached else "made"},
    }
