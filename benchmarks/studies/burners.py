"""Load that is known: processes that do nothing but spin, for as long as a study wants them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# It ends with whoever started it, however that ends, and be it before this runs.
SPIN = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(10**6):\n        pass\n"


@contextmanager
def burning(count: int) -> Iterator[None]:
    """Keep so many cores busy."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", SPIN, str(os.getpid())]))
            stack.callback(process.kill)
        yield
