"""A callback of ansible-core that writes each result as a line of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: peer_trace
type: stdout
short_description: results as lines of JSON
description: Writes each result into the file that TRACE_FILE names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "peer_trace"

    def v2_runner_on_ok(self, result):
        self._write(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, "failed", ignored=bool(ignore_errors))

    def v2_runner_on_skipped(self, result):
        self._write(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self._write(result, "unreachable")

    def _write(self, result, status, *, ignored=False):
        task = result.task
        action = task.action.removeprefix("ansible.builtin.")
        record = {
            "host": result.host.name,
            "name": task.name or action,
            "task": action,
            "status": status,
            "ignored": ignored,
            "looped": task.loop is not None or task.loop_with is not None,
            "data": json.loads(json.dumps(dict(result.result), default=str)),
        }
        with Path(os.environ["TRACE_FILE"]).open("a") as file:
            file.write(json.dumps(record) + "\n")
