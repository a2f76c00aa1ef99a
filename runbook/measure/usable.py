"""A process that tries each provider of ONNX Runtime with a tiny model, and tells of each on a line of its own."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runbook.console import say

# A model of one `Neg`, from `x` to `y`, one float each; written out, since `onnx` need not be there.
TINY = (
    b'\x08\x07:2\n\x0b\n\x01x\x12\x01y"\x03Neg\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def tried() -> Iterator[dict[str, Any]]:
    """Give what is listed, then each provider with what is wrong with it (`trouble`; None: nothing)."""
    try:
        import numpy as np  # noqa: F401 - onnxruntime without it is no use
        import onnxruntime as ort

        listed = ort.get_available_providers()
    except Exception as error:  # noqa: BLE001 - a broken installation fails in any way
        yield {"broken": f"{type(error).__name__}: {error}".replace("\n", " ")[:300]}
        return
    yield {"listed": listed}
    for name in listed:
        yield {"provider": name, "trouble": trouble(name)}


def trouble(provider: str) -> str | None:
    """Say what keeps a session from running on a provider; None if one does."""
    import numpy as np
    import onnxruntime as ort

    failed, given = "", []
    with tempfile.TemporaryFile() as said:
        with _into(said.fileno()):
            try:
                if provider != "CPUExecutionProvider" and hasattr(ort, "preload_dlls"):
                    ort.preload_dlls()  # those that pip has brought are found by it alone
                session = ort.InferenceSession(TINY, providers=[provider])
                given = session.get_providers()
                answer = session.run(None, {"x": np.ones(1, np.float32)})[0]
                failed = "" if answer.tolist() == [-1.0] else f"of 1 the tiny model makes {answer}, and not -1"
            except Exception as error:  # noqa: BLE001 - its exceptions have no common class of their own
                failed = str(error)
        said.seek(0)
        words = said.read().decode("utf-8", "replace")
    if not failed and provider not in given:
        failed = _reason(words) or f"a session gets {', '.join(given)} in its place"
    return failed.replace("\n", " ")[:300] or None


def _reason(words: str) -> str:
    """Find in what the runtime has printed why it could not load a provider."""
    loading = re.findall(r"with error: ([^\n]+)", words)
    failing = re.findall(r"(?:Failed to|EP Error) ([^\n]+)", words)
    return next(iter([*loading, *failing]), "")


@contextmanager
def _into(descriptor: int) -> Iterator[None]:
    """Send what is printed on stderr, by native code too, to a file."""
    kept = os.dup(2)
    sys.stdout.flush()
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main() -> None:
    """Tell on stdout, at once; what libraries print there goes to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for line in tried():
            say(json.dumps(line), out)


if __name__ == "__main__":
    main()
