"""scale_out.yml on five real instances: one after the other, and no further than the first that fails."""

from contextlib import ExitStack

import pytest
import yaml

from tests.plays.live import KEY, Live
from tests.service import running_service, write_env


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, digits_in):
    folder = tmp_path_factory.mktemp("fleet").resolve()
    digits = digits_in(folder)
    with ExitStack() as stack:
        found = []
        for number in range(1, 6):
            env_file = folder / f"api-{number}.env"  # each has a key of its own
            write_env(env_file, API_KEY=f"{KEY}{number}")
            model = digits.five if number == 3 else digits.good  # the third is of another kind: it refuses ten classes
            service = stack.enter_context(running_service(model, env_file, log=folder / f"api-{number}.log"))
            found.append(Live(folder, digits, service, env_file))
        yield found


def inventory(fleet, numbers):
    told = {number: fleet[number - 1] for number in numbers}
    hosts = {f"api-{n}": {"api_url": one.service.url, "env_file": str(one.env_file)} for n, one in told.items()}
    group = {"hosts": hosts, "vars": {"ansible_connection": "local"}}
    path = fleet[0].folder / "instances.yml"
    path.write_text(yaml.safe_dump({"all": {"children": {"instances": group}}}))
    return path


def scale_out(fleet, *options, numbers=range(1, 6), **inputs):
    book = ["-i", str(inventory(fleet, numbers)), *options]
    return fleet[0].play(
        "scale_out.yml", *book, **{"api_url": None, "env_file": None, "path": fleet[0].digits.older, **inputs}
    )


def test_it_stops_at_the_first_that_fails(fleet):
    check = scale_out(fleet, "--check", sample=fleet[0].digits.samples[3])
    assert check.code == 0, check.out
    assert [each.served for each in fleet] == ["good.onnx", "good.onnx", "five.onnx", "good.onnx", "good.onnx"]
    run = scale_out(fleet, sample=fleet[0].digits.samples[3])
    assert run.code == 1
    assert [each.served for each in fleet] == ["older.onnx", "older.onnx", "five.onnx", "good.onnx", "good.onnx"]
    bad = [step for step in run.report["steps"] if step["status"] == "failed"]
    assert [(step["host"], step["name"]) for step in bad] == [("api-3", "Reload it with the model")]
    assert "has 10 classes" in bad[0]["error"]["message"]
    assert {step["host"] for step in run.report["steps"]} == {"api-1", "api-2", "api-3"}
    assert KEY not in run.out

    again = scale_out(fleet, numbers=[1, 2, 4, 5])
    assert again.code == 0
    assert [step["host"] for step in again.report["steps"] if step["status"] == "changed"] == ["api-4", "api-5"]
    assert {each.served for each in fleet} == {"older.onnx", "five.onnx"}
    assert scale_out(fleet, numbers=[1, 2, 4, 5]).report["summary"]["changed"] == 0


def test_an_instance_that_is_down_is_named(fleet):
    fleet[1].service.process.terminate()
    fleet[1].service.process.wait(timeout=15)
    run = scale_out(fleet, numbers=[1, 2, 4], path=fleet[0].digits.good)
    assert run.code == 1
    assert [fleet[at].served for at in (0, 3)] == ["good.onnx", "older.onnx"]
    (bad,) = [step for step in run.report["steps"] if step["status"] == "failed"]
    assert (bad["host"], bad["name"]) == ("api-2", "See that the instance is healthy")


def test_an_inventory_without_instances(fleet):
    run = fleet[0].play("scale_out.yml", api_url=None, path=fleet[0].digits.older)
    assert (run.code, run.report) == (4, {})
    assert "instances" in run.out


def test_the_inventory_that_ships_is_an_example_that_compiles(fleet):
    from importlib.resources import files

    example = str(files("runbook.inventory") / "instances.yml")
    run = fleet[0].play("scale_out.yml", "-i", example, "--dry-run", api_url=None, path=fleet[0].digits.older)
    assert run.code == 0, run.out
    assert "api-2" in run.out
