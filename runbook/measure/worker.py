"""A process that holds models and runs blocks of calls when told to: memory, threads and CPU time are its own."""

from __future__ import annotations

import itertools
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

from runbook.measure import feeds, machine, ortengine, torchengine
from runbook.measure.refusals import Refused, of_machine

STEADY = 0.95  # warm while a group of calls is faster than this share of the group before
GROUP, FEWEST, MOST, LONGEST = 5, 2, 60, 3.0  # calls in a group, groups of one call at least, groups; seconds

Model = ortengine.OrtModel | torchengine.TorchModel


class Worker:
    """What is loaded, and the calls that are ready to be made."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.calls: dict[tuple[str, int], Callable[[], Any]] = {}

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what one line asks for; raises Refused."""
        match asked["do"]:
            case "load":
                return self._load(asked["key"], asked["candidate"])
            case "warm":
                return self._warm(asked)
            case "block":
                return block(self.calls[asked["key"], asked["batch"]], asked["calls"], asked["longest"])
            case "outputs":
                return self._outputs(asked)
            case "forget":
                self.models.pop(asked["key"], None)
                self.calls = {name: call for name, call in self.calls.items() if name[0] != asked["key"]}
                return {}
            case _:
                return {"peak_bytes": machine.peak_bytes()}

    def _load(self, key: str, candidate: Mapping[str, Any]) -> dict[str, Any]:
        if candidate["engine"] == "torch":
            inputs = [feeds.Input.from_json(one) for one in candidate["inputs"]]
            model: Model = torchengine.load(candidate, inputs, candidate.get("preprocessing"))
        else:
            model = ortengine.load(candidate)
        self.models[key] = model
        return {
            **model.told,
            "inputs": [one.to_json() for one in model.inputs],
            "preprocessing": model.preprocessing,
        }

    def _feed(self, asked: Mapping[str, Any]) -> dict[str, np.ndarray]:
        model, batch = self.models[asked["key"]], asked["batch"]
        feeds.allowed_batch(model.path, model.inputs, batch)
        if files := asked.get("images"):
            return feeds.from_images(model.inputs, files, batch, model.preprocessing)
        return feeds.synthetic(model.inputs, batch, asked.get("seed", 0))

    def _warm(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Make the call ready, and repeat it until it gets no faster; gives its typical time in seconds, and the calls.

        Where that time is `known` from another process, two calls are enough.
        """
        model = self.models[asked["key"]]
        with refusing(model.path, asked["batch"]):
            call = self.calls[asked["key"], asked["batch"]] = model.call(self._feed(asked))
            call()
        if asked.get("known"):
            call()
            return {"typical": asked["known"], "calls": 2}
        until, before, groups, calls = time.monotonic() + LONGEST, float("inf"), 0, 1
        while True:
            times = block(call, GROUP if before < 0.2 else 1)["times"]
            now, groups, calls = float(np.median(times)), groups + 1, calls + len(times)
            if (groups >= FEWEST and now > before * STEADY) or groups >= MOST or time.monotonic() > until:
                return {"typical": min(now, before), "calls": calls}
            before = now

    def _outputs(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Run samples out of a `.npz` file and write what the model gives to another, one array an output."""
        model = self.models[asked["key"]]
        with np.load(asked["samples"]) as held:
            given = {name: held[name] for name in held.files}
        size = next((one.batch for one in model.inputs if one.batch is not None), asked["batch"])
        count = len(next(iter(given.values())))
        parts = []
        for start in range(0, count, size):
            part = {name: values[start : start + size] for name, values in given.items()}
            short = size - len(next(iter(part.values())))
            if short and any(one.batch is not None for one in model.inputs):
                part = {name: np.concatenate([values, values[:1].repeat(short, 0)]) for name, values in part.items()}
            with refusing(model.path, len(next(iter(part.values())))):
                parts.append(model.outputs(part))
        rows = [np.concatenate(found)[:count] for found in zip(*parts, strict=True)]
        np.savez(asked["to"], *rows)
        return {"shapes": [list(row.shape) for row in rows]}


@contextmanager
def refusing(path: str, batch: int) -> Iterator[None]:
    """Make a refusal of whatever a runtime raises of a model and its inputs."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        reason = str(error).replace("\n", " ")[:300] or type(error).__name__
        hint = feeds.SMALLER if isinstance(error, MemoryError) or "allocate" in reason else None
        raise Refused(f"{path} cannot be run on a batch of {batch}: {reason}", hint=hint) from error


def block(call: Callable[[], Any], calls: int, longest: float = math.inf) -> dict[str, Any]:
    """Make calls one after the other, no more when `longest` is over; `times` and `cpu` in seconds, of all threads.

    The limit is for what others hold up: a block that waits for a core would take many times as long as was planned.
    """
    clock = time.perf_counter_ns
    marks = [0] * (calls + 1)
    before, cpu = resource.getrusage(resource.RUSAGE_SELF), time.process_time_ns()
    marks[0] = clock()
    until = marks[0] + longest * 1e9
    for number in range(1, calls + 1):
        call()
        marks[number] = now = clock()
        if now > until:
            break
    cpu, after = time.process_time_ns() - cpu, resource.getrusage(resource.RUSAGE_SELF)
    times = [(late - early) / 1e9 for early, late in itertools.pairwise(marks[: number + 1])]
    return {"times": times, "cpu": cpu / 1e9, "switches": after.ru_nivcsw - before.ru_nivcsw}


def serve(lines: TextIO, out: TextIO) -> None:
    """Answer each line with a line, until there are no more."""
    worker = Worker()
    for line in lines:
        try:
            told = worker.answer(json.loads(line))
        except Refused as refused:
            told = {"refused": refused.text, "hint": refused.hint}
        except (OSError, MemoryError) as error:
            found = of_machine(error)
            told = {"refused": found.text, "hint": found.hint}
        out.write(json.dumps(told) + "\n")
        out.flush()


def main() -> None:
    """Serve on stdin and stdout; what libraries print goes to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        serve(sys.stdin, out)


if __name__ == "__main__":
    main()
