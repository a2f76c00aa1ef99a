"""A reload of the real service that is interrupted: one model serves, wholly, and the next run comes to its end."""

import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.faults.sandbox import Point, Ran, Sandbox
from tests.faults.sweep import CALLS, KILLED, spread
from tests.service import Digits, running_service, write_env

pytestmark = pytest.mark.fault

PLAY = """
- hosts: localhost
  inputs: {exp_dir: {type: path, required: true}}
  env_files: ["{{ exp_dir }}/.env"]
  steps:
    - model.reload: {url: "{{ API_URL }}", path: "{{ MODEL_PATH }}", api_key: "{{ API_KEY }}"}
"""
NETWORK = ("socket", "connect", "sendto", "recvfrom")
# What a network answers with, by the call that it breaks. What cannot be sent is told by what is read afterwards.
BROKEN = {"connect": ("ECONNREFUSED", "ETIMEDOUT"), "recvfrom": ("ECONNRESET",)}


@dataclass
class Reloads:
    """A running service, two models, and a new sandbox for each run that puts the one in the other's place."""

    folder: Path
    url: str
    key: str
    digits: Digits
    numbers: Iterator[int]

    def sandbox(self) -> Sandbox:
        """Have the old model served, and a play that asks for the new one."""
        self.post("/reload", {"model_path": str(self.digits.older)})
        root = self.folder / f"{next(self.numbers)}"
        (root / "work").mkdir(parents=True)
        (root / "play.yml").write_text(PLAY)
        write_env(root / "work/.env", API_KEY=self.key, API_URL=self.url, MODEL_PATH=self.digits.good)
        (root / "work/.env").chmod(0o600)
        return Sandbox(root, children=True)

    def post(self, path: str, body: dict) -> dict:
        headers = {"Content-Type": "application/json", "X-API-Key": self.key}
        return self.get(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers))

    def get(self, what: urllib.request.Request | str) -> dict:
        with urllib.request.urlopen(what, timeout=20) as answer:
            return json.load(answer)

    def wrong_now(self, box: Sandbox) -> Iterator[str]:
        """Name what may not be so at any instant: half a model, none at all, a report that cannot be read."""
        until = time.monotonic() + 20
        while (ready := self.get(f"{self.url}/ready"))["reloading"]:  # whoever asked for it is gone; it goes on
            assert time.monotonic() < until
        if not ready["ready"]:
            yield f"no model is ready: {ready}"
        told = self.get(f"{self.url}/version")
        answer = self.post("/predict", {"array": [[0.0] * 8] * 8})
        if (answer["model_path"], answer["sha256"]) != (told["model_path"], told["sha256"]):
            yield f"it says that it serves {told}, and answers by {answer}"
        if told["model_path"] not in {str(self.digits.older), str(self.digits.good)}:
            yield f"it serves another model: {told}"
        box.reports()

    def served(self) -> str:
        return self.get(f"{self.url}/version")["model_path"]

    def wrong_after_rerun(self, box: Sandbox) -> Iterator[str]:
        again = box.run()
        if again.rc or self.served() != str(self.digits.good):
            yield f"the next run ended with {again.rc}, and {self.served()} is served: {again.text}"
        if "running" in {report["status"] for report in box.reports()}:
            yield "a report still says that its run is going on"
        yield from self.wrong_now(box)


@pytest.fixture(scope="module")
def reloads(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("reloads").resolve()
    key = write_env(folder / ".env")
    with running_service(digits.older, folder / ".env", log=folder / "api.log") as service:
        yield Reloads(folder, service.url, key, digits, count())


@pytest.fixture(scope="module")
def points(reloads):
    """Give the calls of a run that reach the service or its own record; it comes to its end."""
    box = reloads.sandbox()
    trace = box.root / "trace"
    ran = box.run("-yy", "-s0", "-o", str(trace), f"-etrace={','.join((*CALLS, *NETWORK))}")
    assert (ran.rc, reloads.served()) == (0, str(reloads.digits.good)), ran.text
    made: dict[str, int] = {}
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        if (match := re.match(r"(\w+)\(", line)) is None:
            continue
        made[match[1]] = made.get(match[1], 0) + 1
        if match[1] in NETWORK or str(box.state) in re.sub(r"AT_FDCWD<.*?>", "", line):
            found.append(Point(match[1], made[match[1]]))
    assert {"connect", "sendto", "recvfrom"} <= {point.call for point in found}
    return found


def reaching(points: list[Point]) -> list[Point]:
    return [point for point in points if point.call in NETWORK]


def test_killed_at_any_call_one_model_serves_and_the_next_run_reloads(reloads, points):
    talking = reaching(points)
    recording = [point for point in points if point not in talking]
    for point in (*spread(talking, 2), *spread(recording, 1)):
        box = reloads.sandbox()
        ran = box.interrupted(point, "signal=SIGKILL")
        assert ran.rc in {KILLED, 137}, f"{point}: was not killed: {ran}"
        assert not list(reloads.wrong_now(box)), point
        assert not list(reloads.wrong_after_rerun(box)), point


def test_whatever_the_network_does_what_the_run_says_is_so(reloads, points):
    cases = [(point, error) for point in reaching(points) for error in BROKEN.get(point.call, ())]
    for point, error in spread(cases, 1):
        box = reloads.sandbox()
        ran = box.interrupted(point, f"error={error}")
        assert not list(truth(reloads, ran)), f"{point} {error}"
        assert not list(reloads.wrong_now(box)), f"{point} {error}"
        assert not list(reloads.wrong_after_rerun(box)), f"{point} {error}"


def truth(reloads: Reloads, ran: Ran) -> Iterator[str]:
    """Hold what a run says of the service to what the service says."""
    if ran.rc not in {0, 1} or "Traceback" in ran.text:
        yield f"ended with {ran.rc}: {ran.text}"
    if ran.rc == 0 and reloads.served() != str(reloads.digits.good):
        yield f"said that the new model serves, and the old one does: {ran.text}"
    if ran.rc == 1 and not re.search(r"refused|no answer within|broken pipe|reset|broke the connection off", ran.text):
        yield f"does not say what went wrong: {ran.text}"
    said = re.search(r"(?:still|now) served: (\S+)", ran.text)
    if said and os.path.basename(said[1]) != os.path.basename(reloads.served()):
        yield f"said that another serves than does: {ran.text}"
