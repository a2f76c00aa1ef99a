"""Runs modules of ansible-core as its own interpreter would, one after another: a JSON request a line, an answer each.

Run by the interpreter that ansible-core is installed for. Each module runs in a fork, so that none sees another's state.
"""

import importlib
import io
import json
import os
import sys
from contextlib import redirect_stdout

from ansible.module_utils import basic


def run(name, args):
    """Give what a module prints, as the value that it is."""
    module = importlib.import_module(f"ansible.modules.{name}")
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            module.main()
    except SystemExit:
        return json.loads(printed.getvalue())
    except BaseException as error:  # noqa: BLE001 - whatever ends a module is its answer
        return {"failed": True, "msg": f"{type(error).__name__}: {error}"}
    return {"failed": True, "msg": "it ended without an answer"}


def forked(name, args):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            json.dump(run(name, args), out)
            out.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        print(forked(request["module"], request["args"]), flush=True)
