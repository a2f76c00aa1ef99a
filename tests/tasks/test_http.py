"""HTTP tasks with a real server: what is sent, what is said of what comes back, and what a check makes of it."""

import json

import pytest
import yaml

from runbook.testing import plan_of, play
from tests.serving import site

KEY = "a-key-that-nobody-may-see/+="


def steps(tmp_path, *tasks, mode="run"):
    """Play steps, and give the report's entries."""
    book = tmp_path / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": list(tasks)}], sort_keys=False))
    return play(plan_of(book), mode=mode)["steps"]


@pytest.mark.parametrize(
    ("params", "body", "kind"),
    [
        ({"json": {"a": ["é", 1, None]}}, '{"a":["é",1,null]}', "application/json"),
        ({"json": "bare"}, '"bare"', "application/json"),
        ({"json": False}, "false", "application/json"),
        ({"body": "as it is\n"}, "as it is\n", None),
        ({"body": "a=1", "headers": {"Content-Type": "text/x"}}, "a=1", "text/x"),
        ({}, "", None),
    ],
)
def test_what_is_sent(tmp_path, params, body, kind):
    with site({"POST /x": (200, {})}) as server:
        (step,) = steps(tmp_path, {"http.request": {"url": f"{server.url}/x", "affects": [], **params}})
    assert step["status"] == "changed", step["error"]
    assert (server.asked[0].body.decode(), server.asked[0].headers.get("content-type")) == (body, kind)


def test_a_get_reads_and_casts_no_doubt(tmp_path):
    with site({"GET /x": (200, {"n": 1}), "POST /x": (200, {})}) as server:
        read = {"http.request": {"url": f"{server.url}/x", "method": "GET"}, "register": "got"}
        shown = {"assert": {"that": "got.json.n == 1"}}
        report = steps(tmp_path, read, shown, {"http.check": {"url": f"{server.url}/x"}}, mode="check")
        assert [step["status"] for step in report] == ["ok", "ok", "ok"]
        assert server.count("GET /x") == 2


def test_a_check_sends_nothing_and_doubts_what_it_may_have_changed(tmp_path):
    with site({"GET /x": (200, {}), "POST /x": (200, {})}) as server, site({"GET /y": (500, {})}) as other:
        post = {"name": "post", "http.request": {"url": f"{server.url}/x"}}
        far = {"http.check": {"url": f"{other.url}/y"}}
        report = steps(tmp_path, post, {"http.check": {"url": f"{server.url}/x"}}, far, mode="check")
        assert [step["status"] for step in report] == ["changed", "unsure", "unsure"]
        assert "'post'" in report[1]["reason"]
        post["http.request"]["affects"] = []
        report = steps(tmp_path, post, {"http.check": {"url": f"{server.url}/x"}}, far, mode="check")
        assert [step["status"] for step in report] == ["changed", "unsure", "failed"]
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "said", "hint"),
    [
        ((500, b"Traceback ..."), "500 Internal Server Error", "log"),
        ((404, {"detail": "Not Found"}), "404 Not Found, wanted 200: Not Found", "path of the URL"),
        ((401, b""), "401 Unauthorized, wanted 200", "key"),
        ((299, b"\xff\xfe\x00"), "299, wanted 200", None),
        (None, "broke the connection off", None),
    ],
)
def test_what_is_said_of_a_bad_answer(tmp_path, answer, said, hint):
    with site({"GET /x": answer or (lambda _: None)}) as server:
        (step,) = steps(tmp_path, {"http.check": {"url": f"{server.url}/x"}})
    assert step["status"] == "failed"
    assert said in step["error"]["message"]
    assert hint is None or hint in step["error"]["hint"]


def test_nobody_answers(tmp_path):
    with site() as server:
        url = server.url
    (step,) = steps(tmp_path, {"http.check": {"url": f"{url}/health"}})
    assert "the connection was refused" in step["error"]["message"]
    assert "started" in step["error"]["hint"]


def test_a_server_that_does_not_answer_in_time(tmp_path):
    import threading

    done = threading.Event()
    with site({"GET /x": lambda _: (done.wait(5), (200, {}))[1]}) as server:
        (step,) = steps(tmp_path, {"http.check": {"url": f"{server.url}/x", "timeout": "100ms"}})
        done.set()
    assert "no answer within 0.1 s" in step["error"]["message"]


def test_a_service_that_is_starting_is_asked_again(tmp_path):
    answers = iter([(503, {}), (503, {}), (200, {"status": "healthy"})])
    with site({"GET /health": lambda _: next(answers)}) as server:
        (step,) = steps(tmp_path, {"http.check": {"url": f"{server.url}/health"}, "retries": 5, "delay": "1ms"})
    assert (step["status"], step["attempts"]) == ("ok", 3)


def test_long_and_strange_answers_are_cut_between_words(tmp_path):
    secret = "k" * 400
    with site({"GET /x": (500, f"one two\n{secret}".encode()), "GET /y": (500, secret.encode())}) as server:
        first, second = (
            steps(tmp_path, {"http.check": {"url": f"{server.url}/{p}"}})[0]["error"]["message"] for p in "xy"
        )
    assert first.endswith("one two ...")
    assert second.endswith("(400 characters without a space)")


def test_a_password_in_the_url_is_not_shown(tmp_path):
    with site({"GET /x": (500, {})}) as server:
        url = f"{server.url}/x".replace("//", "//user:pass-word-1@")
        (step,) = steps(tmp_path, {"http.check": {"url": url}})
    assert "pass-word-1" not in json.dumps(step["error"])
    assert "user" not in step["error"]["message"]
