from pathlib import Path

import pytest

from runbook.inputs import TYPES, Input, show_inputs
from runbook.playbook.inputs import parse_inputs
from runbook.source import parse_document
from runbook.units import Age, Duration, Secret, Size

CWD = Path("/here")


def parsed(text):
    document = parse_document(text, "x.yml")
    problems = []
    return parse_inputs(document, document.value, (), problems=problems), problems


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("str", "22:30", "22:30"), ("str", 5, "5"), ("str", "", ""), ("int", "5", 5), ("int", -3, -3), ("float", "1e-5", 1e-5),
        ("float", 2, 2.0), ("bool", "false", False), ("bool", "True", True), ("bool", True, True),
        ("path", "a/../b.onnx", "/here/b.onnx"), ("path", "/x/y", "/x/y"), ("url", "http://localhost:8000/a", "http://localhost:8000/a"),
        ("age", "7d", Age(604800)), ("size", "100MB", Size(100_000_000)), ("duration", "1h30m", Duration(5400)),
        ("list", "a, b,5", ["a", "b", 5]), ("list", "[1, 'x']", [1, "x"]), ("list", ["y"], ["y"]), ("list", "", []), ("list", "one", ["one"]),
    ],
)  # fmt: skip
def test_values_are_read_by_their_type(kind, value, read):
    result = Input("x", kind).read(value, cwd=CWD)
    assert result == read
    assert type(result) is type(read)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("str", True, "quotes"), ("str", [1], "quotes"), ("int", "5.5", "for example 5"), ("int", True, "for example 5"), ("int", "", "whole"),
        ("float", "fast", "0.5"), ("float", True, "0.5"), ("float", [1], "0.5"), ("bool", "yes", "true or false"), ("bool", 1, "true or false"),
        ("path", "", "model.onnx"), ("path", 5, "model.onnx"), ("path", "a\0b", "model.onnx"),
        ("url", "localhost:8000", "http://"), ("url", "http://", "http://"), ("url", "http://a:b", "http://"), ("url", "ftp://a", "http://"),
        ("url", "http://a b", "http://"), ("url", 5, "http://"), ("age", "7", "7d"), ("age", 7, "7d"), ("size", "1X", "100MB"),
        ("duration", "soon", "30s"), ("list", 5, "[a, b]"), ("list", "[a", "never closed"), ("list", "{a: 1}", "[a, b]"), ("list", "[yes]", "true"),
        ("secret", [1], "takes a text"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_type_says_what_to_write(kind, value, told):
    with pytest.raises(ValueError, match=r"(?s).*" + told.replace("[", r"\[").replace(".", r"\.")):
        Input("x", kind).read(value, cwd=CWD)


def test_files_and_folders_must_exist_on_the_controller(tmp_path):
    (tmp_path / "model.onnx").write_text("")
    assert Input("x", "file").read("model.onnx", cwd=tmp_path) == str(tmp_path / "model.onnx")
    assert Input("x", "dir").read(".", cwd=tmp_path) == str(tmp_path)
    with pytest.raises(ValueError, match=r"no file .*modl.onnx; did you mean 'model.onnx'\?"):
        Input("x", "file").read("modl.onnx", cwd=tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        Input("x", "dir").read("model.onnx", cwd=tmp_path)
    with pytest.raises(ValueError, match="there is no folder"):
        Input("x", "dir").read("nowhere/deep", cwd=tmp_path)


def test_choices_and_patterns():
    level = Input("level", "choice", choices=("basic", "all", "5"))
    assert level.read("all", cwd=CWD) == "all"
    assert level.read(5, cwd=CWD) == "5"
    with pytest.raises(ValueError, match=r"'basik' is no choice; did you mean 'basic'\?"):
        level.read("basik", cwd=CWD)
    with pytest.raises(ValueError, match="write one of: basic, all, 5"):
        level.read("zzz", cwd=CWD)
    assert Input("x", "list", choices=("a", "b")).read("a,b", cwd=CWD) == ["a", "b"]
    with pytest.raises(ValueError, match="'c' is no choice"):
        Input("x", "list", choices=("a", "b")).read("a,c", cwd=CWD)
    assert Input("x", pattern="[a-z]+").read("abc", cwd=CWD) == "abc"
    with pytest.raises(ValueError, match=r"does not match the pattern \[a-z\]\+"):
        Input("x", pattern="[a-z]+").read("abc1", cwd=CWD)


def test_a_secret_is_never_shown():
    key = Input("key", "secret", pattern="[0-9a-f]{64}")
    assert key.read("0" * 64, cwd=CWD) == Secret("0" * 64)
    for wrong in ("hunter2hunter2", ["hunter2hunter2"]):
        with pytest.raises(ValueError) as caught:
            key.read(wrong, cwd=CWD)
        assert "hunter2" not in str(caught.value)


def test_nothing_given():
    assert Input("x").read(None, cwd=CWD) is None
    with pytest.raises(ValueError, match="x is required"):
        Input("x", required=True).read(None, cwd=CWD)


def test_inputs_are_parsed_with_their_places():
    inputs, problems = parsed(
        "path: {type: file, required: true, help: the model}\nn: {type: int, default: '{{ many }}'}\nfree:\n"
    )
    assert problems == []
    assert (inputs["path"].type, inputs["path"].required, inputs["path"].help) == ("file", True, "the model")
    assert inputs["n"].default == "{{ many }}"
    assert inputs["free"] == Input("free", where=inputs["free"].where)
    assert inputs["n"].where.line == 2


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("a: 5\n", (1, 4), "takes a mapping", "a: {default: 5}"),
        ("a: [1]\n", (1, 4), "takes a mapping", "type: path"),
        ("my-a: {}\n", (1, 1), "no name for an input", "letters"),
        ("a: {typ: int}\n", (1, 5), "an input has no 'typ'", "'type'"),
        ("a: {type: integer}\n", (1, 11), "'integer' is no type", "write one of"),
        ("a: {type: flot}\n", (1, 11), "'flot' is no type", "'float'"),
        ("a: {required: 'true'}\n", (1, 15), "true or false", "required: true"),
        ("a: {required: true, default: 5}\n", (1, 30), "no use for a default", "remove"),
        ("a: {help: 5}\n", (1, 11), "takes a text", "quotes"),
        ("a: {choices: []}\n", (1, 14), "not empty", "[a, b]"),
        ("a: {type: choice}\n", (1, 11), "needs `choices`", "choices: [a, b]"),
        ("a: {pattern: '['}\n", (1, 14), "no regular expression", "[a-z]+"),
        ("a: {pattern: 5}\n", (1, 14), "no regular expression", "[a-z]+"),
        ("- a\n", (1, 1), "a mapping of names", "inputs"),
    ],
)
def test_what_is_wrong_with_an_input_is_shown_where_it_stands(text, place, message, hint):
    _, (problem,) = parsed(text)
    assert (problem.where.line, problem.where.column) == place
    assert message in problem.message
    assert hint in problem.hint


def test_every_type_is_known_to_the_reader_and_inputs_are_shown_for_help():
    inputs, problems = parsed(
        "path: {type: file, required: true, help: the model}\nlevel: {type: choice, choices: [a, b], default: a}\n"
        "key: {type: secret, default: hunter2}\nfast: {type: bool, default: true}\n"
    )
    assert problems == []
    assert show_inputs(inputs) == [
        ("path", "file", "required", "the model"), ("level", "a|b", "a", ""), ("key", "secret", "***", ""), ("fast", "bool", "true", "")]  # fmt: skip
    assert " ".join(TYPES) == "str int float bool path file dir url secret age size duration list choice"


def test_inputs_that_have_to_do_with_each_other():
    inputs, problems = parsed("a: {required_unless: b, excludes: [b, c]}\nb: {}\nc: {}\n")
    assert problems == []
    assert (inputs["a"].required_unless, inputs["a"].excludes) == (("b",), ("b", "c"))
    rows = {row[0]: row[2] for row in show_inputs(inputs)}
    assert rows == {"a": "required unless b, not with c", "b": "", "c": ""}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("path: {required_unless: fodler}\nfolder:\n", "names 'fodler', which is no other input", "'folder'"),
        ("path: {excludes: path}\n", "names 'path', which is no other input", "another input of the play"),
        ("path: {required_unless: 5}\n", "takes the name of another input", "[a, b]"),
        ("path: {excludes: []}\n", "takes the name of another input", "[a, b]"),
        ("path: {excludes: }\n", "takes the name of another input", "[a, b]"),
        ("path: {excludes: [b, {c: d}]}\nb:\n", "takes the name of another input", "[a, b]"),
        ("path: {required_unless: b, required: true}\nb:\n", "has no use beside", "remove `required`"),
        ("path: {required_unless: b, default: x}\nb:\n", "has no use beside", "it is always given"),
    ],
)
def test_what_is_wrong_between_inputs(text, message, hint):
    _, problems = parsed(text)
    assert len(problems) == 1, problems
    assert message in problems[0].message
    assert hint in problems[0].hint
