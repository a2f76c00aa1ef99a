"""Which variables a template needs, knowing what guards them."""

from __future__ import annotations

import pytest
from template_scope import AT

from runbook.errors import Where
from runbook.templates import compile_condition, compile_text, compile_value, needs_of


def needs(text):
    compiled = compile_text(text, AT)
    return {need.name for need in compiled.needs}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ a.b }}", "a"),
        ("{{ a }}/{{ b[0] }}{{ a }}", "a b"),
        ("{{ a + b.c[d] }}", "a b d"),
        ("{{ a | default(1) }}", ""),
        ("{{ a.b.c | d('x') }}", ""),
        ("{{ a[i] | default('x') }}", "i"),
        ("{{ a | default(b) }}", "b"),
        ("{{ a | default(b) | default(1) }}", ""),
        ("{{ a | upper | default(b | lower) }}", "b"),
        ("{{ (a + b) | default(1) }}", "a b"),
        ("{{ a is defined }}", ""),
        ("{{ a.b is not defined }}", ""),
        ("{{ a[i] is defined }}", "i"),
        ("{{ a is none }}", "a"),
        ("{{ a is defined and a > 1 }}", ""),
        ("{{ a is not defined or a > 1 }}", ""),
        ("{{ not (a is undefined) and a }}", ""),
        ("{{ a is undefined and a }}", "a"),
        ("{{ a is defined or a }}", "a"),
        ("{{ (a is defined or b is defined) and a }}", "a"),
        ("{{ (a is defined and b is defined) and a ~ b }}", ""),
        ("{{ a.b is defined and a.b.c }}", ""),
        ("{{ a if a is defined else 0 }}", ""),
        ("{{ a if b is defined else 0 }}", "a"),
        ("{{ 0 if a is undefined else a }}", ""),
        ("{{ a if a is defined else b }}", "b"),
        ("{{ (a if a is defined) }}", ""),
        ("{{ (a if a is defined else b) | default(1) }}", ""),
        ("{{ a if true else b }}", "a"),
        ("{{ false and a }}", ""),
        ("{{ true or a }}", ""),
        ("{% if a is defined %}{{ a }}{% else %}{{ b }}{% endif %}", "b"),
        ("{% if a is undefined %}x{% else %}{{ a }}{% endif %}", ""),
        ("{% if a is undefined %}x{% elif b %}y{% endif %}{{ a }}", "a b"),
        ("{% if a is defined %}x{% elif a %}y{% endif %}", "a"),
        ("{% if false %}{{ a }}{% else %}{{ b }}{% endif %}", "b"),
        ("{% if true %}{{ a }}{% else %}{{ b }}{% endif %}", "a"),
        ("{% if c %}{% set x = 1 %}{% endif %}{{ x }}", "c"),
        ("{% set x = a %}{{ x }}", "a"),
        ("{{ x }}{% set x = a %}", "a x"),
        ("{% set x, y = a %}{{ x ~ y }}", "a"),
        ("{% set x %}{{ a }}{% endset %}{{ x }}", "a"),
        ("{% for i in a %}{{ i }}{{ loop.index }}{% endfor %}", "a"),
        ("{% for i, j in a if i > b %}{{ j }}{% else %}{{ c }}{% endfor %}", "a b c"),
        ("{% for i in a if i is defined and d is defined %}{{ d }}{% endfor %}", "a"),
        ("{% for i in a %}{% endfor %}{{ i }}", "a i"),
        ("{% macro m(p, q=a) %}{{ p ~ q ~ b ~ varargs }}{% endmacro %}{{ m(c) }}", "a b c"),
        ("{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ a }}{% endcall %}", "a"),
        ("{% filter upper %}{{ a }}{% endfilter %}", "a"),
        ("{% with x = a, y = 2 %}{{ x ~ y }}{% endwith %}", "a"),
        ("{{ range(a) | list }}{{ lookup('env', b) }}{{ dict(x=c) }}{{ query('vars', 'z') }}", "a b c"),
        ("{{ lookup('env', 'HOME') }}", ""),
        ("{{ true }}{{ none }}{{ 'a' }}{{ 1 }}", ""),
        ("{{ {a: b}[c:d] }}", "a b c d"),
        ("{# a #}{% raw %}{{ a }}{% endraw %}", ""),
        ("{{ [a, (b, c)] }}", "a b c"),
    ],
)
def test_needs_know_the_guards(text, names):
    assert needs(text) == set(names.split())


@pytest.mark.parametrize(
    ("condition", "names", "defines"),
    [
        ("a", "a", "a"),
        ("not a", "a", "a"),
        ("a is defined", "", "a"),
        ("a is not defined", "", ""),
        ("not a is undefined", "", "a"),
        ("a.b is defined", "", "a"),
        ("a is defined and b > 1", "b", "a b"),
        ("a is defined or b is defined", "", ""),
        ("a is defined or b", "b", ""),
        ("(a is defined and b) or (a is defined and c)", "b c", "a"),
        ("a | default(false)", "", ""),
        ("a == b", "a b", "a b"),
        (["a is defined", "a > 1"], "", "a"),
        (["a > 1", "a is defined"], "a", "a"),
        (["a is defined", True, "b is defined and a"], "", "a b"),
        (True, "", ""),
        ([], "", ""),
    ],
)
def test_conditions_say_what_they_need_and_what_is_defined_when_they_are_true(condition, names, defines):
    compiled = compile_condition(condition, AT)
    assert {need.name for need in compiled.needs} == set(names.split())
    assert compiled.defines == set(defines.split())


def test_needs_of_a_structure_are_each_named_once_at_their_first_place():
    compiled = compile_value({"x": ["{{ a }}", "{{ b }} {{ a }}"], "y": "{{ c | int }}"}, lambda path: Where(str(path)))
    assert [(need.name, need.where.file) for need in needs_of(compiled)] == [
        ("a", "('x', 0)"),
        ("b", "('x', 1)"),
        ("c", "('y',)"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("x {{ name }}", 7, 16),
        ("x\ny {{ name | int }}", 8, 6),
        ("{% if name %}{% endif %}", 7, 17),
        ("{{ x_name.name ~ name }}", 7, 28),
    ],
)
def test_a_need_stands_at_its_line_and_column(text, line, column):
    need = next(need for need in compile_text(text, AT).needs if need.name == "name")
    assert need.where == Where("play.yml", line, column)
