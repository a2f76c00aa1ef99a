"""Templates keep types, name what is missing and where, stay small, and are compiled once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_scope import AT, Vars, render

from runbook.errors import Invalid, Problems, TaskFailed, Where
from runbook.templates import (
    MISSING,
    Template,
    compile_text,
    compile_value,
    needs_of,
    render_text_template,
    render_value,
    text_template_needs,
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


@pytest.mark.parametrize(
    ("text", "message", "hint", "column"),
    [
        ("{{ pth }}", "'pth' is not defined", "did you mean 'path'?", 14),
        ("x {{ pth }}", "'pth' is not defined", "did you mean 'path'?", 16),
        ("{{ results.pth }}", "'results' has no attribute 'pth'", "did you mean 'path'?", 14),
        ("{{ results.sub.nme }}", "'results.sub' has no attribute 'nme'", "did you mean 'name'?", 14),
        ("{{ results['pth'] }}", "'results' has no attribute 'pth'", "did you mean 'path'?", 14),
        ("{{ rows[0].nme | upper }}", "'rows[0]' has no attribute 'nme'", "did you mean 'name'?", 14),
        ("{{ rows[4] }}", "'rows' has no element 4: it has 1", None, 14),
        ("{{ rows | map(attribute='nme') }}", "the mapping has no attribute 'nme'", "did you mean 'name'?", 11),
        ("{{ results.pth.x.y }}", "'results' has no attribute 'pth'", "did you mean 'path'?", 14),
        ("{{ [pth] }}", "'pth' is not defined", "did you mean 'path'?", 15),
        ("{{ nope(1) }}", "'nope' is not defined", None, 14),
        ("{{ 'a' if false }}", "evaluated to false and no else", None, 11),
        ("{{ rows[1:] | first }}", "No first item", None, 11),
        ("{{ results.sub == pth }}", "'pth' is not defined", None, 29),
    ],
)
def test_what_is_missing_is_named_with_its_place_and_the_nearest_name(text, message, hint, column):
    values = {"path": 1, "results": {"path": 1, "sub": {"name": 2}}, "rows": [{"name": 1}]}
    with pytest.raises(TaskFailed) as caught:
        render(text, **values)
    assert message in caught.value.message
    assert hint is None or caught.value.hint == hint
    assert (caught.value.where.file, caught.value.where.line) == ("play.yml", 7)
    if hint:
        assert caught.value.where.column == column


def test_a_guard_lets_what_is_missing_pass():
    assert render("{{ a.b.c | default('x') }}") == "x"
    assert render("{{ a | default(b) | default('y') }}") == "y"
    assert render("{{ a | upper | default('z') }}") == "z"
    assert render("{{ (a is defined) ~ (a.b is not defined) }}") == "FalseTrue"
    assert render("{{ a | default('', true) }}", a=None) == ""
    assert render("{{ missing is undefined }}") is True


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**8 }}",
        "{{ [0] * 10**8 }}",
        "{{ 10**8 * 'a' }}",
        "{{ '%099999999d' % 1 }}",
        "{{ '%*d' % (99999999, 1) }}",
        "{{ '%.99999999f' % 1.5 }}",
        "{{ '%099999999d' | format(1) }}",
        "{{ '{:>99999999}'.format('x') }}",
        "{{ '{:{w}}'.format('x', w=99999999) }}",
        "{{ '{a:>99999999}'.format_map({'a': 1}) }}",
        "{{ 2 ** (10**9) }}",
        "{{ 10**3000 * 10**3000 }}",
        "{{ 'a'.ljust(10**8) }}",
        "{{ 'a'.rjust(10**8) }}",
        "{{ 'a'.center(10**8) }}",
        "{{ 'a'.zfill(10**8) }}",
        "{{ '\t'.expandtabs(10**8) }}",
        "{{ ('a' * 9000).replace('a', 'b' * 9000) }}",
        "{{ ('a' * 9000) | replace('a', 'b' * 9000) }}",
        "{{ ('a' * 9000) | regex_replace('a', 'b' * 9000) }}",
        "{{ ('x' * 9000).join(['a'] * 9000) }}",
        "{{ (['a'] * 9000) | join('x' * 9000) }}",
        "{{ 'a' | center(10**8) }}",
        "{{ 'a' | indent(10**8, true) }}",
        "{{ 'a b' | wordwrap(1, wrapstring='x' * 9000000) }}",
        "{{ [1] | batch(10**9, 0) }}",
        "{{ 1.5 | round(10**9) }}",
        "{{ 'a'.translate({97: 'b' * 9000}) }}",
        "{{ range(10**9) | list }}",
        "{{ (5).to_bytes(10**9, 'big') }}",
        "{% for i in range(100) %}{{ 'a' * 1000000 }}{% endfor %}",
        "{% set ns = namespace(t='a' * 9000000) %}{% for i in range(9) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
    ],
)
def test_what_would_fill_the_memory_is_refused(text):
    with pytest.raises(TaskFailed) as caught:
        render(text)
    assert any(
        word in caught.value.message for word in ("larger than", "bits", "100,000", "digits", "not available", "width")
    )


@pytest.mark.parametrize("text", ["{{ 'ab' * 3 }}", "{{ 2 ** 64 }}", "{{ '%05d' % 7 }}", "{{ '{:>5}'.format(1) }}"])
def test_ordinary_sizes_pass(text):
    assert render(text) in ("ababab", 2**64, "00007", "    1")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ lookup.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ items.append(1) }}",
        "{{ tree.update(a=1) }}",
        "{{ tree.pop('a') }}",
    ],
)
def test_the_sandbox_holds(text):
    items, tree = [1], {"a": 0}
    with pytest.raises(TaskFailed):
        render(text, items=items, tree=tree)
    assert (items, tree) == ([1], {"a": 0})


@pytest.mark.parametrize(
    ("text", "message", "hint", "line", "column"),
    [
        ("{{ a b }}", "expected token 'end of print statement', got 'b'", "join two values", 7, 16),
        ("{{ a", "unexpected end of template", None, 7, 11),
        ("x\ny {{ a }} {% if %}", "Expected an expression", None, 8, None),
        ("{% fro x in y %}", "unknown tag 'fro'", "there are for", 7, None),
        ("{{ a | uper }}", "no filter 'uper'", "did you mean 'upper'?", 7, 18),
        ("{{ a is defind }}", "no test 'defind'", "did you mean 'defined'?", 7, 19),
        ("{{ a | random }}", "no filter 'random'", None, 7, 18),
        ("{{ a | ansible.builtin.bool }}", "no filter 'ansible.builtin.bool'", "write bool", 7, 18),
        ("{{ lookup('pipe', 'ls') }}", "no lookup 'pipe'", "a step reads and registers", 7, 14),
        ("{% include 'x.j2' %}", "no {% include %}", None, 7, 14),
        ("{% extends 'x.j2' %}", "no {% extends %}", None, 7, 14),
        ("{% import 'x.j2' as y %}", "no {% import %}", None, 7, 14),
        ("{% from 'x.j2' import y %}", "no {% from %}", None, 7, 14),
        ("{% block x %}{% endblock %}", "no {% block %}", None, 7, 14),
    ],
)
def test_wrong_templates_are_found_when_they_are_compiled(text, message, hint, line, column):
    with pytest.raises(Invalid) as caught:
        compile_text(text, AT)
    assert message in caught.value.message
    assert hint is None or hint in caught.value.hint
    assert caught.value.where.line == line
    assert column is None or caught.value.where.column == column


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


def test_all_wrong_templates_of_a_value_are_reported_at_once():
    with pytest.raises(Problems) as caught:
        compile_value({"a": "{{ x | nope }}", "b": ["{{ "], "c": "{{ fine }}"}, lambda path: Where("p", ord(path[0])))
    assert [problem.where.line for problem in caught.value.problems] == [97, 98]


def test_a_place_within_a_text_is_asked_of_the_document_that_knows_it():
    def where(path, *, offset=0):
        return Where("p.yml", 100, offset)

    compiled = compile_value(["{{ ok }} {{ bad }}"], where)
    assert [(need.name, need.where) for need in needs_of(compiled)] == [
        ("ok", Where("p.yml", 100, 3)),
        ("bad", Where("p.yml", 100, 12)),
    ]


def test_an_error_in_a_filter_says_what_came_in_and_at_which_line():
    with pytest.raises(TaskFailed) as caught:
        render("one\ntwo {{ 1 }}\n{{ v | from_json }}", v="{bad")
    assert "the filter 'from_json' cannot use '{bad': it is no JSON" in caught.value.message
    assert caught.value.where == Where("play.yml", 9, 1)


def test_any_other_error_names_the_template():
    with pytest.raises(TaskFailed, match=r"the template '\{\{ a \+ b \}\}' cannot be rendered: unsupported operand"):
        render("{{ a + b }}", a=1, b="x")
    with pytest.raises(TaskFailed, match="division or modulo by zero"):
        render("{{ 1 // 0 }}")


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


def test_errors_in_a_template_file_name_its_own_lines():
    with pytest.raises(TaskFailed) as caught:
        render_text_template("a\n\n  {{ nope }}\n", "conf/t.j2", Vars())
    assert caught.value.where == Where("conf/t.j2", 3, 6)
    with pytest.raises(Invalid) as wrong:
        text_template_needs("a\n{{ b c }}", "conf/t.j2")
    assert wrong.value.where == Where("conf/t.j2", 2, 6)
    assert [need.name for need in text_template_needs("{{ a }}{{ b | default(1) }}", "t")] == ["a"]
    with pytest.raises(TaskFailed, match=r"conf/t\.j2:1:1"):
        render_text_template("{{", "conf/t.j2", Vars())


def test_an_error_of_an_inner_variable_keeps_its_own_place():
    inner = compile_text("{{ nope }}", Where("vars.yml", 2, 4))

    class Lazily(Vars):
        def get(self, name):
            return inner.render(Vars()) if name == "outer" else MISSING

    with pytest.raises(TaskFailed) as caught:
        compile_text("{{ outer | upper }}", AT).render(Lazily())
    assert caught.value.where == Where("vars.yml", 2, 7)
