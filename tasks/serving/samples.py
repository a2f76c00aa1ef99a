"""What a service is given to predict on: an image, an array, or one made of nothing but zeros."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.absent import meant
from runbook.host.refusals import shown

LARGEST = 10**7  # numbers in an array that is made up


def raw(host: Host, sample: Path) -> tuple[bytes, str]:
    """Give a sample as it is, and its content type; TaskFailed for a file that is missing or empty."""
    if host.stat(sample) is None:
        hint = "give a file that the service can classify: an image, or JSON with an array"
        raise TaskFailed(f"there is no sample {shown(sample)}{meant(host, sample)}", hint=hint)
    data = host.read(sample)
    if not data:
        raise TaskFailed(f"the sample {shown(sample)} is empty")
    return data, guess_type(sample.name)[0] or "application/octet-stream"


def body_of(host: Host, sample: Path) -> tuple[bytes, str]:
    """Give the body and content type of a request with a sample: an upload, or what a `.json` file holds.

    Raises TaskFailed for a file that is missing, empty, or `.json` without an array.
    """
    data, kind = raw(host, sample)
    if sample.suffix.lower() == ".json":
        return _array_in(sample, data)
    boundary = f"sample-{hashlib.sha256(data).hexdigest()}"  # the same every time, and never within its own content
    name = re.sub(r"[^\w. -]", "_", sample.name, flags=re.ASCII)  # what a header can hold
    field = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    head = f"--{boundary}\r\n{field}\r\nContent-Type: {kind}\r\n\r\n"
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _array_in(sample: Path, data: bytes) -> tuple[bytes, str]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TaskFailed(f"the sample {shown(sample)} is no JSON: {error}") from error
    value = value if isinstance(value, dict) else {"array": value}
    if not isinstance(value.get("array"), list):
        raise TaskFailed(
            f"the sample {shown(sample)} has no `array`", hint='write {"array": [[...]]}, or the list alone'
        )
    return json.dumps(value).encode(), "application/json"


def zeros(shape: Any) -> list[Any]:
    """Give nested lists of zeros of the shape that a service says it takes; TaskFailed where it does not say one."""
    if not _is_shape(shape):
        raise TaskFailed(
            "the service does not say the shape of its input (`input_shape` of /version)",
            hint="give a `sample`: an image, or JSON with an array",
        )
    return _nested(shape)


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, list) or not shape or not all(type(length) is int and length > 0 for length in shape):
        return False
    return math.prod(shape) <= LARGEST


def _nested(shape: Sequence[int]) -> list[Any]:
    return [0.0 if len(shape) == 1 else _nested(shape[1:]) for _ in range(shape[0])]
