"""What is missing or wrong in a template is named with its place; what would be too large is refused."""

from __future__ import annotations

import pytest
from template_scope import AT, Vars, render

from runbook.errors import Invalid, Problems, TaskFailed, Where
from runbook.templates import MISSING, compile_text, compile_value, render_text_template, text_template_needs


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


def test_all_wrong_templates_of_a_value_are_reported_at_once():
    with pytest.raises(Problems) as caught:
        compile_value({"a": "{{ x | nope }}", "b": ["{{ "], "c": "{{ fine }}"}, lambda path: Where("p", ord(path[0])))
    assert [problem.where.line for problem in caught.value.problems] == [97, 98]


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
