"""Templates keep types, name what is missing and where, stay small, and are compiled once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_scope import AT, Vars, render

from runbook.errors import TaskFailed, Where
from runbook.templates import (
    Template,
    compile_text,
    compile_value,
    needs_of,
    render_text_template,
    render_value,
)
from runbook.templates.parse import Flawed
from runbook.templates.program import Program
from runbook.templates.scope import Spot
from runbook.units import Secret
from runbook.unknown import Unknown


@pytest.mark.parametrize("text", ["", "plain", "a } b }}", "{ a }", "$" + "{HOME}", "100 %"])
def test_a_text_without_a_template_comes_back_as_itself(text):
    assert compile_text(text) is text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ n }}", 3),
        ("{{ n }}\n", "3\n"),
        (" {{ n }}", " 3"),
        (" {{ n + 1 }}\n", " 4\n"),
        ("{{ n + 1 }}", 4),
        ("{{ flag }}", True),
        ("{{ nothing }}", None),
        ("{{ items[0] }}", "a"),
        ("{{ tree.leaf['x y'] }}", 1),
        ("{{ items | map('upper') }}", ["A", "B"]),
        ("{{ items | reverse }}", ["b", "a"]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ tree.keys() }}", ["leaf"]),
        ("{{ {'a': items} }}", {"a": ["a", "b"]}),
        ("{{ n }}{{ n }}", "33"),
        ("n={{ n }}", "n=3"),
        ("{{ n }}!", "3!"),
        ("{{ flag }} {{ nothing }}.", "True ."),
        ("{% if flag %}{{ n }}{% endif %}", "3"),
        ("{% for i in items %}{{ i }},{% endfor %}", "a,b,"),
        ("{% set x = n %}{{ x }}", "3"),
        ("{# nothing #}", ""),
        ("{# c #}{{ n }}", 3),
        ("{% raw %}{{ n }}{% endraw %}", "{{ n }}"),
        ("a\n{{ n }}\n", "a\n3\n"),
        ("{{ '{{ n }}' }}", "{{ n }}"),
        ("{{ {'a': 1}['a'] }}", 1),
    ],
)
def test_one_expression_keeps_its_type_and_all_else_is_a_text(text, value):
    got = render(text, n=3, flag=True, nothing=None, items=["a", "b"], tree={"leaf": {"x y": 1}})
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("text", ["1234567", "1e5", "[1,2]", "{'a': 1}", "None", "True", "0x10", "{{ n }}", " x "])
def test_a_text_is_never_taken_for_a_literal_nor_rendered_again(text):
    assert render("{{ v }}", v=text, n=1) == text
    assert render("{{ v ~ '' }}", v=text, n=1) == text
    assert render("{{ a }}{{ b }}", a=text[:1], b=text[1:]) == text
    assert render("{{ v | trim }}", v=text, n=1) == text.strip()


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=4))
@settings(max_examples=50, deadline=None)
def test_digits_put_together_stay_a_text(numbers):
    text = "".join(f"{{{{ v[{i}] }}}}" for i in range(len(numbers)))
    assert render(text, v=numbers) == "".join(map(str, numbers))
    assert render(text.replace("]", "] | int"), v=numbers) == "".join(map(str, numbers))


_names = st.sampled_from(["a", "b", "c", "a.x", "b[1]", "b.x", "a['x']", "c.y.z", "gone", "b[9]"])
_literal = st.text(alphabet="{}%#- \nab'", max_size=6)
_values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just(Secret("tiny")))


@given(st.lists(st.tuples(_literal, _names), min_size=1, max_size=3), _literal, _values, _values)
@settings(max_examples=120, deadline=None)
def test_the_fast_path_gives_what_jinja_gives(pieces, end, one, two):
    text = "".join(f"{literal}{{{{ {name} }}}}" for literal, name in pieces) + end
    scope = Vars(a={"x": one}, b=[one, two], c=Unknown("a run") if one is None else {"y": {"z": two}})

    def outcome(program):
        try:
            value = program.render(scope, Spot(AT))
        except TaskFailed as error:
            return str(error)
        if isinstance(value, Unknown):
            return "unknown"
        return value.reveal() if isinstance(value, Secret) else value, type(value)

    try:
        fast = Program(text, condition=False, native=True, blocks=(False, False))
    except Flawed:  # only Jinja refuses a text, so both ways are one
        return
    slow = Program(text, condition=False, native=True, blocks=(False, False))
    slow._plain = None
    assert outcome(fast) == outcome(slow)


def test_names_are_rendered_without_jinja():
    code = (
        "import sys; from template_scope import render; from runbook.templates import compile_condition\n"
        "assert render('{{ a.b[0] }}/{{ c }}', a={'b': ['x']}, c=1) == 'x/1'\n"
        "compile_condition('not a.b is defined'); compile_condition(['a', 'not b'])\n"
        "assert not {'jinja2', 'pydantic', 'yaml'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)


def test_a_key_comes_before_a_method_and_a_method_can_be_called():
    assert render("{{ d.items }}", d={"items": [1]}) == [1]
    assert render("{{ d.items() | list }}", d={"a": 1}) == [("a", 1)]
    with pytest.raises(TaskFailed, match="'items' is a function"):
        render("{{ d.items }}", d={"a": 1})


def test_a_guard_lets_what_is_missing_pass():
    assert render("{{ a.b.c | default('x') }}") == "x"
    assert render("{{ a | default(b) | default('y') }}") == "y"
    assert render("{{ a | upper | default('z') }}") == "z"
    assert render("{{ (a is defined) ~ (a.b is not defined) }}") == "FalseTrue"
    assert render("{{ a | default('', true) }}", a=None) == ""
    assert render("{{ missing is undefined }}") is True


def test_a_value_without_templates_is_the_very_same_object():
    value = {"a": ["b", {"c": 1}], "d": None}
    assert compile_value(value, lambda _path: AT) is value
    assert render_value(value, Vars()) is value


def test_a_value_is_compiled_and_rendered_where_it_holds_templates_and_keys_are_literal():
    value = {"{{ a }}": ["{{ a }}", {"c": "x{{ a }}"}], "rest": [1, 2]}
    compiled = compile_value(value, lambda path: Where("p", len(path), 1))
    assert isinstance(compiled["{{ a }}"][0], Template)
    assert compiled["{{ a }}"][1]["c"].where == Where("p", 3, 1)
    rendered = render_value(compiled, Vars(a=5))
    assert rendered == {"{{ a }}": [5, {"c": "x5"}], "rest": [1, 2]}
    assert rendered["rest"] is value["rest"]


def test_a_place_within_a_text_is_asked_of_the_document_that_knows_it():
    def where(path, *, offset=0):
        return Where("p.yml", 100, offset)

    compiled = compile_value(["{{ ok }} {{ bad }}"], where)
    assert [(need.name, need.where) for need in needs_of(compiled)] == [
        ("ok", Where("p.yml", 100, 3)),
        ("bad", Where("p.yml", 100, 12)),
    ]


def test_equal_texts_share_their_code():
    one, two = compile_text("{{ a | int + 40 }}", AT), compile_text("{{ a | int + 40 }}", Where("other.yml", 1, 1))
    assert one._program is two._program
    assert (one.where, two.where) == (AT, Where("other.yml", 1, 1))


def test_nothing_is_computed_before_it_is_rendered(tmp_path):
    template = compile_text(f"{{{{ '{tmp_path}/x' is exists }}}}")
    assert template.render(Vars()) is False
    (tmp_path / "x").touch()
    assert template.render(Vars()) is True


def test_lookups_read_the_environment_files_and_variables():
    values = {"environ": {"HOME": "/h"}, "files": {"key": "abc\n"}, "name": "v"}
    assert render("{{ lookup('env', 'HOME') }}", **values) == "/h"
    assert render("{{ lookup('ansible.builtin.env', 'NOPE') }}", **values) == ""
    assert render("{{ lookup('env', 'NOPE', default='d') }}", **values) == "d"
    assert render("{{ lookup('file', 'key') }}", **values) == "abc"
    assert render("{{ lookup('file', 'no', default='') }}", **values) == ""
    assert render("{{ lookup('vars', 'na' ~ 'me') }}", **values) == "v"
    assert render("{{ query('env', 'HOME', 'NOPE') }}", **values) == ["/h", ""]
    assert render("{{ q('vars', ['name']) }}", **values) == ["v"]
    with pytest.raises(TaskFailed, match="'nmae' is not defined") as caught:
        render("{{ lookup('vars', 'nmae') }}", **values)
    assert caught.value.hint == "did you mean 'name'?"
    with pytest.raises(TaskFailed, match="there is no file no"):
        render("{{ lookup('file', 'no') }}", **values)
    with pytest.raises(TaskFailed, match="no option 'errors'"):
        render("{{ lookup('file', 'no', errors='ignore') }}", **values)
    with pytest.raises(TaskFailed, match="no lookup 'pipe'"):
        render("{{ lookup(kind, 'ls') }}", kind="pipe", **values)


def test_what_a_lookup_reads_is_data():
    assert render("{{ lookup('file', 'f') }}", files={"f": "{{ secret }}"}, secret=1) == "{{ secret }}"


def test_a_variable_comes_before_a_function_of_the_same_name():
    assert render("{{ q }}", q="mine") == "mine"
    assert render("{{ range(2) | list }}") == [0, 1]


def test_the_source_of_a_template_step_is_a_text_with_ansibles_defaults():
    source = "a\n{% if x %}\nb={{ x }}\n{% endif %}\nend {{ none }}\n"
    assert render_text_template(source, "t.j2", Vars(x=1, none=None)) == "a\nb=1\nend \n"
    assert render_text_template("{{ x }}", "t.j2", Vars(x=1)) == "1"
    assert render_text_template("  {% if x %}\ny{% endif %}", "t.j2", Vars(x=1)) == "  y"
    assert render_text_template("  {% if x %}\ny{% endif %}", "t.j2", Vars(x=1), lstrip_blocks=True) == "y"
    assert render_text_template("no template\n", "t.j2", Vars()) == "no template\n"
    assert isinstance(render_text_template("k={{ k }}", "t.j2", Vars(k=Secret("s3cret"))), Secret)
    assert isinstance(render_text_template("k={{ k }}", "t.j2", Vars(k=Unknown("x"))), Unknown)
