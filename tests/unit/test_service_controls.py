"""Each control of the service refuses what it is there for, and lets it pass where its setting switches it off."""

import asyncio
import io
import json
import struct
import threading
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from runbook.service.api import Api
from runbook.service.app import create_app
from runbook.service.classifier import Classifier, Runtime, load_classifier
from runbook.service.metrics import Metrics
from runbook.service.settings import Settings
from runbook.units import Duration, Secret

KEY = "0123456789abcdef" * 4
PAGE = "https://app.example.com"


class Asked:
    """An application in this process, asked without a server."""

    def __init__(self, model, *, start=True, **settings):
        self.api = Api(model, Settings.model_validate({"api_key": Secret(KEY), **settings}), Runtime(), Metrics())
        if start:
            self.api.start()
        self.app = create_app(self.api)

    def __call__(self, method, path, **request):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())

    def predict(self, content, name="digit.png", declared="image/png"):
        return self("POST", "/predict", files={"file": (name, content, declared)})


@pytest.fixture(scope="module")
def guarded(digits):
    return Asked(digits.good)


def image(kind="PNG", mode="L", size=(8, 8), **how):
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind, **how)
    return out.getvalue()


def code_of(answer):
    return answer.status_code, answer.json().get("code")


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def bomb(width, height):
    """Give a few bytes that claim to be an image of so many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


UPLOADS = {
    "a name that is not allowed": (image(), "digit.exe", "image/png", 415, {"allowed_extensions": ("*",)}),
    "a name without ending": (image(), "digit", "image/png", 415, {"allowed_extensions": ("*",)}),
    "a declared type that is not allowed": (image(), "digit.png", "text/html", 415, {"allowed_content_types": ("*",)}),
    "a content that is not allowed": (image("GIF"), "digit.png", "image/png", 415, {"allowed_formats": ("*",)}),
    "too many pixels": (image(size=(6000, 6000)), "digit.png", "image/png", 413, {"max_pixels": 0}),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_is_refused_and_taken_where_the_control_is_off(guarded, digits, name):
    content, file, declared, status, off = UPLOADS[name]
    answer = guarded.predict(content, file, declared)
    assert code_of(answer) == (status, {415: "media_type", 413: "too_large"}[status])
    assert Asked(digits.good, **off).predict(content, file, declared).status_code == 200


COLOURS = [
    *(("PNG", mode) for mode in ("L", "LA", "RGB", "RGBA", "1", "P")),
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
]


@pytest.mark.parametrize(("kind", "mode"), COLOURS)
def test_images_of_every_colour_are_taken(guarded, kind, mode):
    name = {"PNG": "a.png", "JPEG": "a.JPG"}[kind]
    assert guarded.predict(image(kind, mode), name, f"image/{kind.lower()}").status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 415, "no known image"),
        (b"MZ\x90\x00 a program", 415, "no known image"),
        (b"<svg onload='alert(1)'/>", 415, "no known image"),
        (image()[:40], 422, "damaged"),
        (image("JPEG", size=(64, 64))[:300], 422, "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 500, 422, "damaged"),
        (bomb(100_000, 100_000), 413, "pixels"),
        (bomb(5_001, 5_000), 413, "5001 x 5000 pixels; at most 25000000"),
        (image("PNG", "I;16"), 415, "more than 8 bits"),
    ],
)
def test_what_is_no_good_image_is_refused(guarded, content, status, reason):
    answer = guarded.predict(content)
    assert answer.status_code == status
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize("name", ["☃.png", "a\nb.png", "..\\..\\x.png", "x" * 500 + ".png", "'; drop.png"])
def test_the_name_of_an_upload_may_be_anything(guarded, name):
    assert guarded.predict(image(), name).status_code == 200


def test_a_name_that_is_no_utf8_is_taken_as_it_is(guarded):
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xff\xfe.png"\r\nContent-Type: image/png\r\n\r\n'
    body, declared = head + image() + b"\r\n--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}
    assert guarded("POST", "/predict", content=body, headers=declared).status_code == 200


@pytest.mark.parametrize(
    ("body", "declared", "status"),
    [
        (b"", "multipart/form-data", 422),
        (b"nonsense", "multipart/form-data; boundary=b", 422),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 422),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            422,
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + b"x" * 9999 + b'"\r\n\r\n\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            422,
        ),
        (b"array=1", "application/x-www-form-urlencoded", 415),
        (b"x", "", 415),
    ],
)
def test_a_body_that_is_no_form_is_refused_with_what_to_send(guarded, body, declared, status):
    answer = guarded("POST", "/predict", content=body, headers={"content-type": declared})
    assert answer.status_code == status
    assert answer.json()["detail"]


ROWS = [[0.0] * 8] * 8


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"array": [[1, 2], [3]]}', "not equally long"),
        ('{"array": [[1, 2]]}', "of shape [1, 8, 8], not [1, 2]"),
        ('{"array": 5}', "not []"),
        ('{"array": []}', "not [0]"),
        ('{"array": null}', "something else"),
        ('{"array": [[true, false]]}', "something else"),
        ('{"array": {"a": 1}}', "something else"),
        (json.dumps({"array": [["x"] * 8] * 8}), "something else"),
        (json.dumps({"array": [[float("nan")] * 8] * 8}), "NaN is no number"),
        (json.dumps({"array": ROWS}).replace("0.0", "1e999"), "not finite"),
        (json.dumps({"array": ROWS}).replace("0.0", "9" * 40), "of shape"),
        ('{"arrays": []}', "`array` is missing"),
        ("[" * 9000, "nested too deep"),
        ('{"array": ' + "[" * 9000 + "]" * 9000 + "}", ""),
        ("[1]", "must be a JSON object"),
        ("\ud800", "JSON"),
        ("", "JSON"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_with_the_shape_that_does(guarded, text, reason):
    body = text.encode("utf-8", "surrogatepass")
    answer = guarded("POST", "/predict", content=body, headers={"content-type": "application/json"})
    assert code_of(answer) == (422, "request")
    assert reason in answer.json()["detail"]


def test_json_that_is_longer_than_any_input_is_not_even_parsed(guarded):
    text = '{"array": ' + json.dumps(ROWS) + "," * 80_000
    answer = guarded("POST", "/predict", content=text, headers={"content-type": "application/json"})
    assert code_of(answer) == (413, "too_large")


def test_the_upload_limit_can_be_set_and_switched_off(digits):
    content = image() + b"\0" * 2_000_000
    answer = Asked(digits.good, max_upload_mb=1).predict(content)
    assert code_of(answer) == (413, "too_large")
    assert "larger than 1 MB (MAX_UPLOAD_MB): split it over several requests to /batch" in answer.json()["detail"]
    assert Asked(digits.good, max_upload_mb=0).predict(content).status_code == 200


@pytest.mark.parametrize("given", [None, "", KEY[:-1], KEY + "0", KEY.upper(), "\xff" * 64])
def test_a_wrong_key_opens_nothing(guarded, given):
    headers = {} if given is None else {"x-api-key": given.encode("latin-1")}
    answer = guarded("POST", "/batch", headers=headers)
    assert code_of(answer) == (401, "key")
    assert KEY not in answer.text


def test_without_a_key_in_the_settings_the_routes_are_closed_or_open_to_all(digits):
    assert code_of(Asked(digits.good, api_key=None)("POST", "/reload")) == (403, "closed")
    opened = Asked(digits.good, api_key_required=False)
    assert opened("POST", "/admin/model/reload").json()["success"] is True


def preflight(asked, origin=PAGE):
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    return asked("OPTIONS", "/predict", headers=headers)


def test_no_page_of_another_origin_may_call_it_unless_it_is_listed(guarded, digits):
    assert preflight(guarded).status_code == 400
    assert "access-control-allow-origin" not in guarded("GET", "/health", headers={"origin": PAGE}).headers
    listed = Asked(digits.good, cors_allow_origins=(PAGE,))
    assert preflight(listed).headers["access-control-allow-origin"] == PAGE
    assert preflight(listed, "https://evil.example").status_code == 400
    assert preflight(listed, f"{PAGE}.evil.example").status_code == 400
    assert listed("GET", "/health", headers={"origin": PAGE}).headers["access-control-allow-origin"] == PAGE
    anybody = Asked(digits.good, cors_allow_origins=("*",))
    assert preflight(anybody, "https://evil.example").headers["access-control-allow-origin"] == "*"


def test_a_refused_upload_can_be_read_by_a_listed_page(digits):
    asked = Asked(digits.good, cors_allow_origins=(PAGE,), max_upload_mb=0.001)
    answer = asked("POST", "/predict", content=b"x" * 2000, headers={"origin": PAGE})
    assert answer.status_code == 413
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_a_batch_is_answered_in_order_by_one_model(guarded, digits):
    files = [("files", (path.name, path.read_bytes(), "image/png")) for path in digits.samples]
    answer = guarded("POST", "/batch", files=files, headers={"x-api-key": KEY}).json()
    one_by_one = [guarded.predict(path.read_bytes()).json() for path in digits.samples]
    assert [result["label"] for result in answer["results"]] == [one["label"] for one in one_by_one]
    arrays = [np.full((8, 8), value).tolist() for value in (0.0, 0.5, 1.0)]
    answer = guarded("POST", "/batch", json={"arrays": arrays}, headers={"x-api-key": KEY}).json()
    assert [len(result["probabilities"]) for result in answer["results"]] == [10, 10, 10]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [([], "1 to 64"), (3, "1 to 64"), (None, "1 to 64"), ([ROWS] * 65, "1 to 64"), ([ROWS, [1]], "arrays[1] must be")],
)
def test_a_batch_that_is_wrong_is_refused_whole(guarded, arrays, reason):
    answer = guarded("POST", "/batch", json={"arrays": arrays}, headers={"x-api-key": KEY})
    assert code_of(answer) == (422, "request")
    assert reason in answer.json()["detail"]


def test_a_batch_of_too_many_files_is_refused(guarded):
    files = [("files", ("a.png", image(), "image/png"))] * 65
    answer = guarded("POST", "/batch", files=files, headers={"x-api-key": KEY})
    assert code_of(answer) == (422, "request")
    assert "at most 64 files" in answer.json()["detail"]


def test_one_bad_file_of_a_batch_is_named(guarded):
    files = [("files", ("a.png", image(), "image/png")), ("files", ("b.png", b"no image", "image/png"))]
    answer = guarded("POST", "/batch", files=files, headers={"x-api-key": KEY})
    assert answer.status_code == 415
    assert "'b.png'" in answer.json()["detail"]


def test_unknown_routes_and_methods_are_json_too(guarded):
    assert guarded("GET", "/nowhere").json() == {"detail": "Not Found", "code": "http"}
    assert guarded("GET", "/predict").status_code == 405


def test_a_reload_is_refused_while_another_is_under_way(digits):
    asked, loading, go = Asked(digits.good), threading.Event(), threading.Event()

    def slow():
        loading.set()
        assert go.wait(10)
        return load_classifier(digits.older, Runtime())

    first = threading.Thread(target=asked.api.reloader.reload, args=[slow])
    first.start()
    assert loading.wait(10)
    answer = asked("POST", "/admin/model/reload", headers={"x-api-key": KEY})
    assert answer.status_code == 409
    assert (answer.json()["success"], answer.json()["code"]) == (False, "busy")
    assert asked("GET", "/ready").json()["reloading"] is True
    assert asked.predict(image()).json()["worker"] == "worker-0"
    go.set()
    first.join(10)
    assert asked.predict(image()).json()["worker"] == "worker-1"


def test_a_model_that_takes_too_long_is_given_up(digits):
    asked, given_up = Asked(digits.good), threading.Event()
    asked.api.reloader.load_timeout = 0.01
    asked.api.reloader.warm_up = lambda _: given_up.wait(60)
    answer = asked("POST", "/reload", json={"model_path": str(digits.older)}, headers={"x-api-key": KEY})
    given_up.set()
    assert code_of(answer) == (504, "timeout")
    assert asked("GET", "/version").json()["model_path"] == str(digits.good)


def test_requests_that_outlive_the_drain_are_named_in_the_answer(digits):
    asked = Asked(digits.good, drain_timeout=Duration(0.01))
    with asked.api.reloader.lease("POST /predict 1234"):
        answer = asked("POST", "/reload", json={"model_path": str(digits.older)}, headers={"x-api-key": KEY})
    assert answer.status_code == 200
    assert answer.json()["requests_left"][0].startswith("POST /predict 1234 (")
    assert "model_drain_timeout_total 1.0" in asked("GET", "/metrics").text


def test_before_a_model_is_loaded_it_is_alive_and_not_ready(digits):
    asked = Asked(digits.good, start=False)
    assert asked("GET", "/health").status_code == 200
    assert asked("GET", "/ready").status_code == 503


def test_an_answer_that_is_no_number_is_the_models_fault(digits, monkeypatch):
    asked = Asked(digits.good)
    monkeypatch.setattr(Classifier, "run", lambda _, batch: np.full((len(batch), 10), np.nan))
    assert code_of(asked.predict(image())) == (500, "model")


def test_a_fault_of_the_service_is_logged_and_told_apart(guarded, monkeypatch, caplog):
    monkeypatch.setattr(guarded.api.metrics, "page", lambda: 1 / 0)
    answer = guarded("GET", "/metrics", headers={"x-request-id": "r-1"})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "internal error", "code": "error", "request_id": "r-1"}
    assert "ZeroDivisionError" in caplog.text


def test_load_balancers_may_ask_for_the_head_alone(guarded):
    assert [guarded("HEAD", path).status_code for path in ("/health", "/ready", "/version")] == [200, 200, 200]


def test_the_api_describes_itself(guarded):
    paths = guarded("GET", "/openapi.json").json()["paths"]
    assert {"/health", "/ready", "/version", "/metrics", "/predict", "/batch", "/reload", "/admin/model/reload"} == {
        *paths
    }
    assert {*paths["/predict"]["post"]["requestBody"]["content"]} == {"application/json", "multipart/form-data"}
    assert (
        "model_path" in paths["/reload"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    )


def test_metrics_count_by_route_and_outcome_whatever_is_asked(digits):
    asked = Asked(digits.good)
    for path in ("/health", "/nowhere/1", "/nowhere/2"):
        asked("GET", path)
    asked("BREW", "/health")
    preflight(asked)
    asked("POST", "/reload", json={"model_path": str(digits.older)}, headers={"x-api-key": KEY})
    asked("POST", "/reload", json={"model_path": str(digits.five)}, headers={"x-api-key": KEY})
    page = asked("GET", "/metrics").text
    for line in (
        'api_request_total{endpoint="/health",method="GET",status="200"} 1.0',
        'api_request_total{endpoint="other",method="GET",status="404"} 2.0',
        'api_request_total{endpoint="/health",method="OTHER",status="405"} 1.0',
        'api_request_latency_seconds_count{endpoint="/reload",method="POST"} 2.0',
        "api_cors_refused_total 1.0",
        'model_reload_total{outcome="ok"} 1.0',
        'model_reload_total{outcome="class_mismatch"} 1.0',
    ):
        assert line in page.splitlines()
    assert page.count("\nmodel_info{") == 1
    assert str(digits.older) in page
