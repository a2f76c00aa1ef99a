"""Reloading a model on a real HTTP server: what is sent, what is proven, and what is said when it goes wrong."""

import hashlib
import json
import os
import threading
from datetime import UTC, datetime

import pytest
import yaml

from runbook.testing import plan_of, play
from tests.serving import KEY, classifier, sha256_of, site


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("model_1.onnx", "model_2.onnx"):
        (folder / name).write_bytes(f"the weights of {name}".encode())
    return folder


@pytest.fixture
def service(models):
    with classifier(models / "model_2.onnx") as served:
        yield served


def reload(tmp_path, service, path, mode="run", **more):
    """Play one reload and the proof after it; give their entries of the report."""
    params = {"url": service.url, "path": str(path), "api_key": KEY, **more}
    steps = [{"name": "reload", "model.reload": params}, {"model.version": {"url": service.url, "path": str(path)}}]
    book = tmp_path / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": steps}], sort_keys=False))
    return play(plan_of(book), mode=mode)["steps"]


def failure(tmp_path, service, path, **more):
    step, *rest = reload(tmp_path, service, path, **more)
    assert (step["status"], rest) == ("failed", []), step
    assert KEY not in json.dumps(step)
    return step["error"]["message"], step["error"]["hint"] or ""


def test_check_foretells_the_run_and_a_second_run_does_nothing(tmp_path, models, service):
    old, new = models / "model_2.onnx", models / "model_1.onnx"
    foretold, proof = reload(tmp_path, service, new, mode="check")
    assert service.posts == 0
    assert (foretold["status"], proof["status"]) == ("changed", "unsure")
    assert proof["reason"] == "depends on step 1 'reload'"
    (change,) = foretold["changes"]
    assert change["target"] == f"POST {service.url}/reload"
    assert change["detail"] == f"from {old} ({sha256_of(old)[:12]}) to {new} ({sha256_of(new)[:12]})"

    done, proof = reload(tmp_path, service, new)
    assert (done["status"], proof["status"], service.posts) == ("changed", "ok", 1)
    assert [each["detail"] for each in done["changes"]] == [change["detail"]]
    assert done["data"] == {
        "model_path": str(new),
        "sha256": sha256_of(new),
        "previous": str(old),
        "compared": "path and sha256",
        "version": None,
        "continuity": None,
    }
    again, proof = reload(tmp_path, service, new)
    assert (again["status"], proof["status"], service.posts) == ("ok", "ok", 1)


def test_what_is_sent(tmp_path, models, service):
    service.url += "/"  # a base address may be written either way
    reload(tmp_path, service, models / "model_1.onnx")
    sent = next(asked for asked in service.site.asked if asked.path == "/reload")
    assert (sent.method, sent.headers["x-api-key"]) == ("POST", KEY)
    assert sent.json() == {"model_path": str(models / "model_1.onnx")}


def test_another_content_under_the_same_name_is_another_model(tmp_path, models, service):
    model = models / "model_2.onnx"
    model.write_bytes(b"exported once more")
    step, proof = reload(tmp_path, service, model)
    assert (step["status"], proof["status"], service.posts) == ("changed", "ok", 1)


def test_a_link_and_what_it_leads_to_are_one_model(tmp_path, models, service):
    (models / "latest.onnx").symlink_to("model_2.onnx")
    assert reload(tmp_path, service, models / "latest.onnx")[0]["status"] == "ok"
    (models / "latest.onnx").unlink()
    (models / "latest.onnx").symlink_to("model_1.onnx")
    assert reload(tmp_path, service, models / "latest.onnx")[0]["status"] == "changed"
    assert service.loaded == sha256_of(models / "model_1.onnx")


def test_a_relative_path_is_from_the_working_folder(tmp_path, models, service):
    step, _ = reload(tmp_path, service, os.path.relpath(models / "model_1.onnx"))
    assert os.path.isabs(step["data"]["model_path"])
    assert os.path.samefile(step["data"]["model_path"], models / "model_1.onnx")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "there is no model"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: (path.unlink(), path.mkdir()), "is no regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is no regular file"),
    ],
)
def test_a_file_that_no_service_could_load_is_refused_before_it_is_asked(tmp_path, models, service, spoil, said):
    spoil(models / "model_1.onnx")
    message, _ = failure(tmp_path, service, models / "model_1.onnx")
    assert said in message
    assert service.posts == 0


def test_a_name_that_is_misspelt(tmp_path, models, service):
    message, hint = failure(tmp_path, service, models / "modle_1.onnx")
    assert f"there is no model {models}/modle_1.onnx; did you mean {models}/model_1.onnx?" in message
    assert "spelt" in hint


def test_a_folder_that_is_not_seen_from_here_is_compared_by_path(tmp_path, models, service):
    service.routes = service.site.routes
    served = {"model_path": "/models/a.onnx", "sha256": "ab" * 32}
    service.routes["GET /version"] = lambda _: (200, served)
    service.routes["POST /reload"] = lambda asked: (200, served.update(asked.json()) or served)
    step, proof = reload(tmp_path, service, "/models/b.onnx")
    assert (step["status"], proof["status"]) == ("changed", "ok")
    assert "compared by path alone: its folder is not seen from here" in step["changes"][0]["detail"]
    assert step["data"]["compared"] == "path"
    assert reload(tmp_path, service, "/models/b.onnx")[0]["status"] == "ok"


REFUSALS = [
    ((401, {"detail": "wrong or missing API key"}), "401 Unauthorized: wrong", "API_KEY"),
    ((404, {"detail": "no such file"}), "404 Not Found: no such file", "does the service see this folder"),
    ((404, {"detail": "Not Found"}), "404 Not Found", "adapter"),
    ((403, {"detail": "Permission denied", "code": "unreadable"}), "403 Forbidden", "namei"),
    ((403, {"detail": "no"}), "403 Forbidden: no", "API_KEY"),
    ((422, {"detail": "INVALID_PROTOBUF", "code": "damaged"}), "422 Unprocessable", "manifest"),
    ((422, {"detail": "the model has 7 classes, 10 are served"}), "7 classes", "trained for other classes"),
    ((422, {"detail": "no"}), "422 Unprocessable", "look into these"),
    ((409, {"detail": "busy"}), "409 Conflict: busy", "another reload is under way"),
    ((400, b"\xff"), "400 Bad Request", "damaged"),
    ((500, b"Internal Server Error"), "500 Internal Server Error", "log"),
    ((503, b""), "503 Service Unavailable: (it says nothing)", "ready"),
]


@pytest.mark.parametrize(("answer", "said", "hinted"), REFUSALS)
def test_a_refusal_is_told_with_what_is_still_served_and_a_hint(tmp_path, models, service, answer, said, hinted):
    service.site.routes["POST /reload"] = answer
    message, hint = failure(tmp_path, service, models / "model_1.onnx")
    assert said in message
    assert f"still served: {models}/model_2.onnx" in message
    assert hinted in hint
    assert service.loaded == sha256_of(models / "model_2.onnx")


def test_a_key_that_is_missing(tmp_path, models, service):
    message, hint = failure(tmp_path, service, models / "model_1.onnx", api_key=None)
    assert "401" in message
    assert "env_files" in hint


def test_a_service_that_lies(tmp_path, models, service):
    service.site.routes["POST /reload"] = (200, {"model_path": "/whatever"})
    message, hint = failure(tmp_path, service, models / "model_1.onnx")
    assert message.startswith("the service said 200 OK, and does not serve")
    assert f"it serves {models}/model_2.onnx" in message
    assert "worker" in hint


def test_a_service_that_loads_something_else(tmp_path, models, service):
    service.site.routes["POST /reload"] = lambda _: service.load(models / "model_3.onnx")
    (models / "model_3.onnx").write_bytes(b"x")
    message, _ = failure(tmp_path, service, models / "model_1.onnx")
    assert "model_3.onnx" in message


def test_a_service_that_takes_its_time(tmp_path, models, service):
    looks = iter(range(100))

    def later(asked):
        path = asked.json()["model_path"]
        version = service.site.routes["GET /version"]

        def look(again):
            if next(looks) == 2:
                service.load(models / os.path.basename(path))
            return version(again)

        service.site.routes["GET /version"] = look
        return 202, {}

    service.site.routes["POST /reload"] = later
    step, proof = reload(tmp_path, service, models / "model_1.onnx")
    assert (step["status"], proof["status"]) == ("changed", "ok")


def test_an_answer_that_got_lost_is_no_failure_if_it_was_done(tmp_path, models, service):
    def done_and_gone(asked):
        service.reload(asked)

    service.site.routes["POST /reload"] = done_and_gone
    step, proof = reload(tmp_path, service, models / "model_1.onnx")
    assert (step["status"], proof["status"]) == ("changed", "ok")


def test_an_answer_that_got_lost_and_nothing_was_done(tmp_path, models, service):
    service.site.routes["POST /reload"] = lambda _: None
    message, _ = failure(tmp_path, service, models / "model_1.onnx")
    assert "broke the connection off" in message
    assert "still served" in message


def test_a_load_that_takes_too_long(tmp_path, models, service):
    gate = threading.Event()
    service.site.routes["POST /reload"] = lambda _: (gate.wait(5), (200, {}))[1]
    message, hint = failure(tmp_path, service, models / "model_1.onnx", timeout="200ms")
    gate.set()
    assert "no answer within 0.2 s; still served" in message
    assert hint


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>"), "no `model_path` in the answer: <html>"),
        ((200, []), "no `model_path` in the answer: []"),
        ((200, {"model_path": 7}), "no `model_path`"),
        ((200, {"model_path": ""}), "no `model_path`"),
        ((404, {"detail": "Not Found"}), "404 Not Found, wanted 200"),
        ((200, b"[" * 100_000), "no `model_path`"),
    ],
)
def test_a_server_that_is_no_such_service(tmp_path, models, service, answer, said):
    service.site.routes["GET /version"] = answer
    message, hint = failure(tmp_path, service, models / "model_1.onnx")
    assert said in message
    assert "adapter" in hint
    assert service.posts == 0


def test_a_service_that_is_down(tmp_path, models):
    with site() as gone:
        pass
    message, hint = failure(tmp_path, gone, models / "model_1.onnx")
    assert "the connection was refused" in message
    assert "started" in hint


def test_a_service_without_hashes_is_compared_by_path(tmp_path, models, service):
    service.site.routes["GET /version"] = lambda _: (200, {"model_path": str(service.model)})
    step, proof = reload(tmp_path, service, models / "model_1.onnx")
    assert (step["status"], proof["status"], step["data"]["sha256"]) == ("changed", "ok", None)
    assert reload(tmp_path, service, models / "model_1.onnx")[0]["status"] == "ok"


def test_weights_in_other_files_belong_to_the_model(tmp_path, models):
    onnx = pytest.importorskip("onnx")
    np = pytest.importorskip("numpy")
    from runbook.host import LocalHost
    from runbook.tasks.serving.modelfile import fingerprint

    name = "w" * 200 + ".onnx.data"
    tensor = onnx.numpy_helper.from_array(np.ones((4, 400), np.float32), "w")
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    path = models / "big.onnx"
    onnx.save_model(onnx.helper.make_model(graph), path, save_as_external_data=True, location=name, size_threshold=0)
    host = LocalHost(now=datetime.now(UTC), cwd=tmp_path, env={}, run_id="x")
    lines = f"{sha256_of(path)}  big.onnx\n{sha256_of(models / name)}  {name}\n"
    before = fingerprint(host, path)
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    with (models / name).open("r+b") as weights:
        weights.write(b"\x01")
    assert fingerprint(host, path) != before
    assert fingerprint(host, models / "model_1.onnx") == sha256_of(models / "model_1.onnx")


def test_version_says_what_is_served(tmp_path, models, service):
    book = tmp_path / "book.yml"
    steps = [
        {"model.version": {"url": service.url}, "register": "now"},
        {"assert": {"that": ["now.model_path is search('model_2')", "now.told.classes == 10"]}},
        {"model.version": {"url": service.url, "path": str(models / "model_1.onnx")}},
    ]
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": steps}]))
    report = play(plan_of(book))["steps"]
    assert [step["status"] for step in report] == ["ok", "ok", "failed"]
    assert f"does not serve {models}/model_1.onnx" in report[2]["error"]["message"]


def parts(asked):
    """Read a multipart body by the standard library, apart from what wrote it."""
    from email.parser import BytesParser
    from email.policy import HTTP

    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    return list(BytesParser(policy=HTTP).parsebytes(head + asked.body).iter_parts())


@pytest.mark.parametrize("name", ["seven.png", 'a "q"\n é.jpg', "no_ending"])
def test_a_sample_is_uploaded_to_the_byte(tmp_path, service, name):
    data = bytes(range(256)) * 40 + b"\r\n--sample--\r\n"
    (tmp_path / name).write_bytes(data)
    service.site.routes["POST /predict"] = (200, {"label": "7"})
    book = tmp_path / "book.yml"
    step = {"model.predict": {"url": service.url, "sample": str(tmp_path / name)}}
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": [step]}]))
    (entry,) = play(plan_of(book), mode="check")["steps"]
    assert entry["status"] == "ok", entry["error"]
    (part,) = parts(service.site.asked[-1])
    assert part.get_param("name", header="Content-Disposition") == "file"
    assert part.get_payload(decode=True) == data
    assert part.get_filename().rpartition(".")[2] == name.rpartition(".")[2]


def refusing_keys(service, *, batch=(401, {"detail": "the key in X-API-Key is wrong"}), reload=None):
    """Have the service answer what tries the key: on `/batch`, then on `/reload`, as long as it names no model."""
    load = service.site.routes["POST /reload"]
    service.site.routes["POST /batch"] = batch
    service.site.routes["POST /reload"] = lambda asked: load(asked) if asked.json() or reload is None else reload


def test_check_foretells_that_the_key_is_refused_and_names_no_model_to_find_out(tmp_path, models, service):
    wrong = {"api_key": "another key, of some length"}
    refusing_keys(service)
    (foretold,) = reload(tmp_path, service, models / "model_1.onnx", mode="check", **wrong)
    assert [asked.json() for asked in service.site.asked if asked.method == "POST"] == [{}, {}]
    (done,) = reload(tmp_path, service, models / "model_1.onnx", **wrong)
    assert foretold["status"] == done["status"] == "failed"
    assert foretold["error"] == done["error"]
    assert "401" in done["error"]["message"]
    assert f"still served: {service.model}" in done["error"]["message"]
    assert "API_KEY" in done["error"]["hint"]


@pytest.mark.parametrize(
    ("batch", "reloads"),
    [
        ((404, {"detail": "Not Found"}), 0),
        ((422, {"detail": "`arrays` is missing"}), 0),
        ((503, {"detail": "overloaded"}), 0),
        (lambda _: None, 0),
        ((401, {"detail": "it wants another key than /reload"}), 1),
    ],
    ids=["no such route", "taken", "cannot say", "broken off", "another key"],
)
def test_a_service_that_does_not_say_so_refuses_no_key(tmp_path, models, service, batch, reloads):
    refusing_keys(service, batch=batch, reload=(422, {"detail": "`model_path` must be a text"}))
    foretold, _ = reload(tmp_path, service, models / "model_1.onnx", mode="check")
    assert (foretold["status"], service.posts) == ("changed", reloads)
    done, proof = reload(tmp_path, service, models / "model_1.onnx")
    assert (done["status"], proof["status"]) == ("changed", "ok")


def test_a_service_that_serves_the_model_already_is_asked_for_no_key(tmp_path, models, service):
    refusing_keys(service)
    done, _ = reload(tmp_path, service, models / "model_2.onnx", api_key="another key, of some length")
    assert done["status"] == "ok"
    assert [asked.method for asked in service.site.asked if asked.method == "POST"] == []


def test_check_foretells_that_a_model_breaks_off(tmp_path, models, service, digits):
    whole = digits.good.read_bytes()
    for size in (1, 20, len(whole) // 2, len(whole) - 1):
        (models / "cut.onnx").write_bytes(whole[:size])
        for mode in ("check", "run"):
            (step,) = reload(tmp_path, service, models / "cut.onnx", mode=mode)
            assert step["status"] == "failed", size
            assert "cut.onnx is damaged: it " in step["error"]["message"]
            assert "compare its SHA-256" in step["error"]["hint"]
    assert service.posts == 0
    (models / "cut.onnx").write_bytes(whole)
    foretold, _ = reload(tmp_path, service, models / "cut.onnx", mode="check")
    assert foretold["status"] == "changed"
