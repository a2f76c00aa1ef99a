"""From a request's JSON or uploads to the arrays that the model takes; everything wrong is a Refused."""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from runbook.service.classifier import Classifier
from runbook.service.formats import FORMATS, LONGEST, format_of
from runbook.service.refusals import Refused
from runbook.service.settings import ANY, Settings

WRONG_IMAGE = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error)
ROOM = 64_000  # of a JSON body, beside its numbers
NUMBER = 32  # characters of a number in JSON, and more than any has


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart request; `content` can be read and sought."""

    name: str
    content_type: str
    content: BinaryIO


def parse_json(body: bytes, wanted: str) -> dict[str, Any]:
    """Read a JSON object; Refused says what is wanted instead."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # ValueError covers bytes that are no UTF-8
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Refused(f"the body is no JSON: {reason}; send {wanted}", code="request") from error
    if not isinstance(value, dict):
        raise Refused(f"the body must be a JSON object; send {wanted}", code="request")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def json_room(model: Classifier, arrays: int) -> int:
    """Give how many bytes of JSON so many arrays may take: what is parsed takes many times its size in memory."""
    return ROOM + NUMBER * arrays * int(np.prod(model.shape))


def array_of(value: Any, model: Classifier, name: str = "array") -> np.ndarray:
    """Give nested lists as one input of the model, in its own numbers: nothing is scaled."""
    wanted = f"{name} must be numbers of shape {list(model.shape)}"
    try:
        found = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise Refused(f"{wanted}: its rows are not equally long", code="request") from error
    if found.dtype.kind not in "iuf":
        raise Refused(f"{wanted}, and holds something else", code="request")
    if not np.isfinite(found).all():
        raise Refused(f"{wanted}, and holds one that is not finite", code="request")
    if found.shape not in _shapes(model):
        raise Refused(f"{wanted}, not {list(found.shape)}", code="request")
    return found.reshape(model.shape)


def _shapes(model: Classifier) -> set[tuple[int, ...]]:
    """Give the shapes that mean one input: with and without a batch of one, and the rows of a grey image."""
    shapes = {model.shape, (1, *model.shape)}
    if model.preprocessing and model.preprocessing.mode == "L":
        shapes.add(model.preprocessing.size)
    return shapes


def image_of(upload: Upload, model: Classifier, settings: Settings) -> np.ndarray:
    """Give an uploaded image as one input of the model."""
    if model.preprocessing is None:
        raise Refused("this model does not say how images are prepared; send an array", code="media_type")
    formats = _allowed(upload, settings)
    name = _shown(upload.name)
    try:
        with warnings.catch_warnings():  # Pillow's own limit, far above ours
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(upload.content, formats=[FORMATS[one][0] for one in formats]) as image:
                if settings.max_pixels and image.width * image.height > settings.max_pixels:
                    text = f"{name} has {image.width} x {image.height} pixels; at most {settings.max_pixels} are taken"
                    raise Refused(text, code="too_large")
                if image.mode[0] in "IF":
                    raise Refused(f"{name} has more than 8 bits a channel; convert it", code="media_type")
                return model.preprocessing.apply(image)
    except Image.DecompressionBombError as error:
        raise Refused(f"{name} has far too many pixels", code="too_large") from error
    except WRONG_IMAGE as error:
        raise Refused(f"{name} is damaged: {error}", code="request") from error


def _allowed(upload: Upload, settings: Settings) -> list[str]:
    """Hold an upload against the three lists, and give the formats that it may be."""
    name = _shown(upload.name)
    ending = f".{upload.name.rpartition('.')[2]}".lower() if "." in upload.name else "without ending"
    _among(ending, settings.allowed_extensions, f"{name} has a name that is not taken")
    declared = upload.content_type.partition(";")[0].strip().lower() or "none"
    _among(declared, settings.allowed_content_types, f"{name} has the content type {declared!r}")
    if ANY in settings.allowed_formats:
        return [*FORMATS]
    found = format_of(upload.content.read(LONGEST))
    upload.content.seek(0)
    _among(found or "unknown", settings.allowed_formats, f"{name} holds {found or 'no known image'}")
    return [found] if found else []


def _among(value: str, allowed: tuple[str, ...], text: str) -> None:
    if ANY not in allowed and value not in allowed:
        raise Refused(f"{text}; taken are {', '.join(allowed) or 'none'}", code="media_type")


def _shown(name: str) -> str:
    """Give a client's name for a file such that it cannot pass for anything else."""
    return repr(name[:80])
