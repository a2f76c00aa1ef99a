"""A callback of ansible-core that writes each result as a line of JSON; `test_peer.py` has it loaded."""

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
        self._write(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, "failed ignored" if ignore_errors else "failed")

    def v2_runner_item_on_ok(self, result):
        self._write(result, "ok", item=True)

    def v2_runner_item_on_failed(self, result):
        self._write(result, "failed", item=True)

    def _write(self, result, status, *, item=False):
        task, data = result.task, result.result
        action = task.action.removeprefix("ansible.builtin.")
        if action == "include_tasks" or ((task.loop or task.loop_with) is not None and not item):
            return
        status = "changed" if status == "ok" and data.get("changed") else status
        said = f" | {data.get('msg')}" if action == "debug" else ""
        with Path(os.environ["TRACE_FILE"]).open("a") as file:
            file.write(json.dumps(f"{result.host.name} | {task.name or action} | {status}{said}") + "\n")
