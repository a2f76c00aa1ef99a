"""Other servers of models, each as its protocol says and as the real ones were seen to answer; and continuity."""

import json
import threading

import pytest
import yaml

from runbook.testing import plan_of, play
from tests.serving import classifier, site

INPUTS = [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]


class V2:
    """MLServer's ways: the load answers 200 without a body, and the index tells of versions that were never loaded."""

    def __init__(self, served):
        self.site, self.url, self.version, self.in_repository = served, served.url, "1", "2"
        served.routes |= {
            "GET /v2/models/digits": (200, {"name": "digits", "inputs": []}),
            "POST /v2/models/digits/infer": lambda _: (200, {"model_version": self.version, "outputs": []}),
            "POST /v2/repository/models/digits/load": self.load,
        }

    def load(self, asked):
        self.version = self.in_repository
        return 200, b""


@pytest.fixture
def v2():
    with site() as served:
        yield V2(served)


def run(tmp_path, *steps, mode="run"):
    book = tmp_path / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": list(steps)}], sort_keys=False))
    return play(plan_of(book), mode=mode)["steps"]


def to_version(server, version, adapter="v2", **more):
    common = {"url": server.url, "adapter": adapter, "model": "digits", "version": version}
    return {"name": "reload", "model.reload": {**common, **more}}, {"model.version": {**common, **more}}


def test_v2_is_proven_by_an_inference(tmp_path, v2):
    check = run(tmp_path, *to_version(v2, 2, inputs=INPUTS), mode="check")
    assert [step["status"] for step in check] == ["changed", "unsure"]
    assert v2.version == "1"
    done, proof = run(tmp_path, *to_version(v2, 2, inputs=INPUTS))
    assert (done["status"], proof["status"]) == ("changed", "ok")
    assert (
        [each["detail"] for each in done["changes"]]
        == ["from digits 1 to digits 2"]
        == [each["detail"] for each in check[0]["changes"]]
    )
    assert (done["data"]["previous"], done["data"]["version"], done["data"]["compared"]) == ("1", "2", "version")
    again, _ = run(tmp_path, *to_version(v2, "2", inputs=INPUTS))
    assert again["status"] == "ok"
    assert v2.site.count("POST /v2/repository/models/digits/load") == 1
    infer = next(asked for asked in v2.site.asked if asked.path.endswith("/infer"))
    assert infer.json() == {"inputs": INPUTS}


def test_v2_that_says_yes_and_serves_the_old_one(tmp_path, v2):
    v2.in_repository = "1"
    (step,) = run(tmp_path, *to_version(v2, 2, inputs=INPUTS))
    assert "200 OK, and does not serve digits 2: an inference is answered by digits 1" in step["error"]["message"]


@pytest.mark.parametrize(
    ("answer", "hinted"),
    [
        ((500, b"Internal Server Error"), "are the files whole"),
        ((404, {"error": "Model digits not found"}), "is `model` spelt right"),
        ((400, {"error": "explicit model load / unload is not allowed if polling is enabled"}), "--model-control-mode"),
        ((503, {"error": "explicit model load / unload is not allowed"}), "--model-control-mode"),
        ((401, {}), "api_key"),
    ],
)
def test_v2_refuses(tmp_path, v2, answer, hinted):
    v2.site.routes["POST /v2/repository/models/digits/load"] = answer
    (step,) = run(tmp_path, *to_version(v2, 2, inputs=INPUTS))
    assert "still served: digits 1" in step["error"]["message"]
    assert hinted in step["error"]["hint"]


def test_v2_where_nothing_is_loaded_yet(tmp_path, v2):
    about = v2.site.routes["GET /v2/models/digits"]
    v2.site.routes["GET /v2/models/digits"] = lambda _: about if v2.version == "2" else (404, {"error": "not found"})
    done, _ = run(tmp_path, *to_version(v2, 2, inputs=INPUTS))
    assert done["changes"][0]["detail"] == "from no digits to digits 2"
    assert done["data"]["previous"] is None


def test_v2_is_given_zeros_of_what_it_says_it_takes(tmp_path, v2):
    inputs = [
        {"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]},
        {"name": "text", "datatype": "BYTES", "shape": [1]},
    ]
    v2.site.routes["GET /v2/models/digits"] = (200, {"name": "digits", "inputs": inputs})
    run(tmp_path, *to_version(v2, 2))
    infer = next(asked for asked in v2.site.asked if asked.path.endswith("/infer"))
    assert infer.json()["inputs"] == [
        {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [0, 0, 0, 0]},
        {"name": "text", "shape": [1], "datatype": "BYTES", "data": [""]},
    ]


@pytest.mark.parametrize(
    ("about", "infer", "said"),
    [
        ((200, {"inputs": []}), None, "does not say what digits takes"),
        ((200, {"inputs": [7]}), None, "does not say what its inputs are like"),
        ((500, b""), None, "500"),
        ((200, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}), (400, {"error": "shape"}), "shape"),
        (
            (200, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}),
            (200, {"outputs": []}),
            "no `model_version`",
        ),
    ],
)
def test_v2_that_cannot_be_asked(tmp_path, v2, about, infer, said):
    v2.site.routes["GET /v2/models/digits"] = about
    if infer:
        v2.site.routes["POST /v2/models/digits/infer"] = infer
    (step,) = run(tmp_path, *to_version(v2, 2))
    assert said in step["error"]["message"]
    assert v2.version == "1"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"adapter": "v2", "version": "1"}, "needs `model`"),
        ({"adapter": "v2", "model": "digits"}, "needs `version`"),
        ({"adapter": "torchserve", "model": "digits"}, "needs `version`"),
        ({"adapter": "v2", "model": "a/../b", "version": "1"}, "pattern"),
        ({}, "give `path`"),
        ({"adapter": "triton", "model": "m", "version": "1"}, "'simple', 'v2' or 'torchserve'"),
    ],
)
def test_what_is_missing_is_found_before_anything_runs(tmp_path, params, said):
    from runbook.errors import Invalid

    with pytest.raises(Invalid) as caught:
        run(tmp_path, {"model.reload": {"url": "http://localhost", **params}})
    assert said in str(caught.value)


class TorchServe:
    """Versions side by side; one is registered, then made the default. Answers as of TorchServe 0.12."""

    def __init__(self, served):
        self.site, self.url, self.versions, self.default = served, served.url, {"1.0": "READY"}, "1.0"
        served.routes |= {
            "GET /models/digits": lambda _: (200, [self.about(self.default)]),
            "GET /models/digits/all": lambda _: (200, [self.about(version) for version in self.versions]),
            "POST /models?url=digits_2.mar&initial_workers=1&synchronous=true": self.register,
            "PUT /models/digits/2.0/set-default": lambda _: self.set_default("2.0"),
            "PUT /models/digits/1.0/set-default": lambda _: self.set_default("1.0"),
        }

    def about(self, version):
        return {"modelVersion": version, "workers": [{"status": self.versions[version]}]}

    def register(self, asked):
        self.versions["2.0"] = "READY"
        return 200, {"status": 'Model "digits" Version: 2.0 registered with 1 initial workers'}

    def set_default(self, version):
        if version not in self.versions:
            return 404, {"code": 404, "message": "Model version: 2.0 does not exist for model: digits"}
        self.default = version
        return 200, {"status": f"Default version succesfully updated for model digits to {version}"}


@pytest.fixture
def torchserve():
    with site() as served:
        yield TorchServe(served)


def test_torchserve_registers_and_switches(tmp_path, torchserve):
    done, proof = run(
        tmp_path, *to_version(torchserve, "2.0", "torchserve", path="digits_2.mar", api_key="t0ken-of-mine")
    )
    assert (done["status"], proof["status"]) == ("changed", "ok"), done["error"]
    assert torchserve.default == "2.0"
    assert torchserve.site.asked[0].headers["authorization"] == "Bearer t0ken-of-mine"
    assert run(tmp_path, *to_version(torchserve, "2.0", "torchserve"))[0]["status"] == "ok"
    back, _ = run(tmp_path, *to_version(torchserve, "1.0", "torchserve"))
    assert (back["status"], torchserve.default) == ("changed", "1.0")


def test_torchserve_without_the_archive(tmp_path, torchserve):
    (step,) = run(tmp_path, *to_version(torchserve, "2.0", "torchserve"))
    assert "has no digits 2.0, but ['1.0']; still served: digits 1.0" in step["error"]["message"]
    assert "give `path`" in step["error"]["hint"]
    url = "POST /models?url=digits_2.mar&initial_workers=1&synchronous=true"
    torchserve.site.routes[url] = (404, {"code": 404, "message": "Model not found at: digits_2.mar"})
    (step,) = run(tmp_path, *to_version(torchserve, "2.0", "torchserve", path="digits_2.mar"))
    assert "Model not found at: digits_2.mar; still served: digits 1.0" in step["error"]["message"]
    assert "model store" in step["error"]["hint"]


def test_a_worker_that_is_starting_is_waited_for(tmp_path, torchserve):
    looks = iter(range(100))
    torchserve.versions["2.0"] = "UNLOADING"

    def look(asked):
        if torchserve.default == "2.0" and next(looks) == 2:
            torchserve.versions["2.0"] = "READY"
        return 200, [torchserve.about(torchserve.default)]

    torchserve.site.routes["GET /models/digits"] = look
    done, proof = run(tmp_path, *to_version(torchserve, "2.0", "torchserve"))
    assert (done["status"], proof["status"]) == ("changed", "ok"), done["error"]


def test_a_default_without_a_worker_serves_nobody(tmp_path, torchserve):
    torchserve.versions["2.0"] = "UNLOADING"
    (step,) = run(tmp_path, *to_version(torchserve, "2.0", "torchserve", timeout="300ms"))
    assert "the default is digits 2.0, without a worker" in step["error"]["message"]


# Continuity


@pytest.fixture
def service(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    with classifier(tmp_path / "a.onnx") as served:
        served.site.routes["POST /predict"] = lambda _: (200, {"label": "1", "sha256": served.loaded})
        (tmp_path / "sample.json").write_text("[[1]]")
        yield served


def watched(tmp_path, service, **more):
    from tests.serving import KEY

    fast = {"before": "50ms", "after": "50ms", "every": "2ms", "clients": 3, **more}
    params = {"url": service.url, "path": str(tmp_path / "b.onnx"), "api_key": KEY, "continuity": fast}
    (step,) = run(tmp_path, {"model.reload": {**params, "sample": str(tmp_path / "sample.json")}})
    return step


def test_a_reload_without_a_lost_request(tmp_path, service):
    step = watched(tmp_path, service)
    assert step["status"] == "changed", step["error"]
    seen = step["data"]["continuity"]
    assert seen["requests"] > 6
    assert sum(seen["asked"].values()) == seen["requests"]
    assert (seen["failed"], seen["faults"], seen["backwards"]) == ({"before": 0, "during": 0, "after": 0}, {}, 0)
    assert 0 < seen["median_ms"] <= seen["longest_ms"]
    assert watched(tmp_path, service)["data"]["continuity"] is None


def busy(service, answer, count=5):
    """Have the service answer badly while it loads, for as long as it takes to be noticed so often."""
    good, seen = service.site.routes["POST /predict"], threading.Semaphore(0)

    def bad(asked):
        seen.release()
        return answer

    def reload(asked):
        service.site.routes["POST /predict"] = bad
        for _ in range(count):
            assert seen.acquire(timeout=5)
        service.site.routes["POST /predict"] = good
        return service.reload(asked)

    service.site.routes["POST /reload"] = reload


def test_requests_that_fail_meanwhile_fail_the_step_with_the_model_in_place(tmp_path, service):
    busy(service, (503, {}))
    step = watched(tmp_path, service)
    assert step["status"] == "failed"
    assert "the model is served, and" in step["error"]["message"]
    assert "x 503 Service Unavailable" in step["error"]["message"]
    assert step["changes"][0]["applied"] is True
    assert service.model.name == "b.onnx"
    assert step["data"]["continuity"]["failed"]["during"] >= 5


def test_a_budget_allows_some(tmp_path, service):
    busy(service, (503, {}))
    step = watched(tmp_path, service, budget=1000)
    assert step["status"] == "changed", step["error"]
    assert step["data"]["continuity"]["failed"]["during"] >= 5


def test_a_service_that_failed_before_is_not_held_against_the_new_model(tmp_path, service):
    predict = service.site.routes["POST /predict"]
    service.site.routes["POST /predict"] = lambda asked: predict(asked) if service.model.name == "b.onnx" else (500, {})
    step = watched(tmp_path, service)
    assert step["status"] == "changed", step["error"]
    assert step["data"]["continuity"]["failed"]["before"] > 0
    assert step["data"]["continuity"]["failed"]["after"] == 0


def test_a_failure_or_two_before_excuse_none_that_follow(tmp_path, service):
    busy(service, (503, {}), count=30)
    good, turns = service.site.routes["POST /predict"], iter(range(10**6))
    service.site.routes["POST /predict"] = lambda asked: good(asked) if next(turns) else (500, {})
    step = watched(tmp_path, service)
    assert step["status"] == "failed"
    seen = step["data"]["continuity"]
    assert seen["failed"]["before"] == 1 < seen["asked"]["before"]
    assert "were lost meanwhile" in step["error"]["message"]


def test_a_request_that_the_reload_ends_is_lost_by_the_reload(tmp_path, service):
    """It was asked before, and would have been answered."""
    began = threading.Event()
    good, load = service.site.routes["POST /predict"], service.reload
    released = threading.Event()

    def held(asked):
        if began.is_set() or len(service.site.asked) < 8:
            return good(asked)
        began.set()
        released.wait(5)
        return 503, {}

    def reload(asked):
        assert began.wait(5)
        released.set()
        return load(asked)

    service.site.routes["POST /predict"] = held
    service.site.routes["POST /reload"] = reload
    step = watched(tmp_path, service)
    assert step["status"] == "failed", step["data"]
    assert step["data"]["continuity"]["failed"] == {"before": 0, "during": 1, "after": 0}


def test_a_sample_that_no_model_takes(tmp_path, service):
    service.site.routes["POST /predict"] = (422, {"detail": "array must have the shape 8, 8"})
    step = watched(tmp_path, service)
    assert step["status"] == "failed"
    assert "not one of" in step["error"]["message"]
    assert "array must have the shape 8, 8" in step["error"]["message"]
    assert "sample" in step["error"]["hint"]


def test_answers_of_the_old_model_after_the_new_one(tmp_path, service):
    turns = iter(range(10**6))
    old = service.loaded
    service.site.routes["POST /predict"] = lambda _: (
        200,
        {"label": "1", "sha256": old if next(turns) % 2 else service.loaded},
    )
    step = watched(tmp_path, service)
    assert step["status"] == "failed"
    assert "answered by the old model after the new one" in step["error"]["message"]


def test_what_was_seen_is_told_when_the_service_refuses(tmp_path, service):
    service.site.routes["POST /reload"] = (422, {"detail": "damaged"})
    step = watched(tmp_path, service)
    assert "still served" in step["error"]["message"]
    assert step["data"]["continuity"]["requests"] >= 3
    assert sum(step["data"]["continuity"]["failed"].values()) == 0
    assert json.dumps(step["data"])


def test_no_client_is_left_behind(tmp_path, service):
    before = threading.active_count()
    watched(tmp_path, service)
    assert threading.active_count() <= before + 3  # the server's own may be ending
    asked = len(service.site.asked)
    threading.Event().wait(0.05)
    assert len(service.site.asked) == asked
