"""What comes after a step that only a run can tell: what that step says that it affects is unsure, and nothing else."""

import pytest
import yaml

from runbook.testing import plan_of, play
from tests.serving import site

UNKNOWN = {"name": "ask", "command": "echo x", "register": "asked"}


@pytest.fixture
def served():
    with site({"GET /health": (200, {}), "GET /version": (200, {"model_path": "/a.onnx"})}) as one:
        yield one


def checked(tmp_path, *steps, url=None):
    """Check steps after one whose output is not known, and which affects nothing; give their statuses and reasons."""
    book = tmp_path / "book.yml"
    first = {**UNKNOWN, "command": {"cmd": "echo x", "affects": []}}
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": [first, *steps]}], sort_keys=False))
    return [(step["status"], step["reason"]) for step in play(plan_of(book), mode="check")["steps"]][1:]


def reload(url, **more):
    return {"name": "reload", "model.reload": {"url": url, "path": "{{ asked.stdout }}", "api_key": "k" * 32, **more}}


def test_a_reload_that_is_unsure_leaves_no_proof_of_its_server(tmp_path, served):
    probe = {"http.check": {"url": f"{served.url}/health"}}
    (_, first), proof = checked(tmp_path, reload(served.url), probe)
    assert first == "depends on step 1 'ask'"
    assert proof == ("unsure", "depends on step 2 'reload'")


def test_another_server_is_certain(tmp_path, served):
    with site({"GET /health": (200, {})}) as other:
        _, proof, fault = checked(
            tmp_path,
            reload(served.url),
            {"http.check": {"url": f"{other.url}/health"}},
            {"http.check": {"url": f"{other.url}/none"}},
        )
    assert (proof[0], fault[0]) == ("ok", "failed")


def test_a_server_that_is_not_known_either_is_any(tmp_path, served):
    steps = ({"http.check": {"url": f"{served.url}/none"}}, {"http.check": {"url": f"{served.url}/health"}})
    _, fault, proof = checked(tmp_path, reload("http://{{ asked.stdout }}"), *steps)
    assert fault == ("unsure", "depends on step 2 'reload'")  # a run might not find that fault
    assert proof[0] == "ok"


@pytest.mark.parametrize(
    ("affects", "status"), [(["{url}"], "unsure"), ([], "failed"), (None, "unsure"), (["/elsewhere"], "failed")]
)
def test_a_command_that_may_not_be_run_is_taken_at_its_word(tmp_path, served, affects, status):
    told = {} if affects is None else {"affects": [each.format(url=served.url) for each in affects]}
    maybe = {"name": "maybe", "command": {"cmd": "true", **told}, "when": "asked.stdout == 'x'"}
    _, fault = checked(tmp_path, maybe, {"http.check": {"url": f"{served.url}/none"}})
    assert fault[0] == status
    if status == "unsure":
        assert fault[1] == "depends on step 2 'maybe'"


def test_a_folder_that_is_named_is_unsure(tmp_path):
    (tmp_path / "there").mkdir()
    maybe = {
        "name": "maybe",
        "command": {"cmd": "true", "affects": [str(tmp_path / "there")]},
        "loop": "{{ asked.stdout_lines }}",
    }
    _, inside, beside = checked(
        tmp_path,
        maybe,
        {"stat": {"path": str(tmp_path / "there/file")}},
        {"stat": {"path": str(tmp_path / "file")}},
    )
    assert (inside, beside[0]) == (("unsure", "depends on step 2 'maybe'"), "ok")


def test_what_only_reads_casts_no_doubt(tmp_path, served):
    probe = {"name": "probe", "http.check": {"url": "{{ asked.stdout }}"}}
    _, fault = checked(tmp_path, probe, {"http.check": {"url": f"{served.url}/none"}})
    assert fault[0] == "failed"


def test_what_a_check_really_runs_casts_none_either(tmp_path, served):
    maybe = {"name": "maybe", "command": "true", "when": "asked.stdout == 'x'", "check_mode": False}
    _, fault = checked(tmp_path, maybe, {"http.check": {"url": f"{served.url}/none"}})
    assert fault[0] == "failed"


def test_a_run_knows(tmp_path, served):
    book = tmp_path / "book.yml"
    maybe = {"name": "maybe", "command": "true", "when": "asked.stdout == 'y'"}
    steps = [UNKNOWN, maybe, {"http.check": {"url": f"{served.url}/health"}}]
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": steps}], sort_keys=False))
    assert [step["status"] for step in play(plan_of(book))["steps"]] == ["changed", "skipped", "ok"]
