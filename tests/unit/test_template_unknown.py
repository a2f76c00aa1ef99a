"""Unknown values make a template unknown, secret ones make it secret; neither is ever written out."""

from __future__ import annotations

import pytest
from template_scope import AT, Vars, render

from runbook.errors import TaskFailed, Unsure
from runbook.templates import compile_text, compile_value, render_value
from runbook.units import Secret
from runbook.unknown import Unknown, first_unknown, reason_of

KEY = "hunter2-hunter2"
U = Unknown("depends on step 4 'build'")


@pytest.mark.parametrize(
    "text",
    ["{{ u }}", "{{ u.a }}", "{{ u[0].b }}", "{{ u['a b'] }}", "{{ u + 1 }}", "{{ 1 - u }}", "{{ -u }}", "{{ u() }}", "{{ u.x(1) }}",
     "a{{ u }}", "a{{ u.b }}c", "{{ 'a' ~ u }}", "{{ u | length }}", "{{ u | int }}", "{{ u | default(1) }}", "{{ [u] | list }}", "{{ 1 if u else 2 }}",
     "{{ u is defined }}", "{{ u is none }}", "{{ u == 1 }}", "{{ u in [1] }}", "{{ 1 in u }}", "{{ not u }}", "{{ u and 1 }}", "{{ '%s' % u }}",
     "{{ 'a'.join([u]) }}", "{{ '{}'.format(u) }}", "{{ {'a': [u]} | to_json }}", "{{ x | replace('a', u) }}", "{% for i in u %}{% endfor %}",
     "{% if u %}{% endif %}", "{% macro m(p) %}<{{ p }}>{% endmacro %}{{ m(u) }}", "{% set v = u %}{{ v }}", "{{ range(u) }}", "{{ d[u] }}",
     "{{ l[u] }}", "{{ x[u:] }}", "{{ {u: 1} }}", "{{ l | map('replace', 'a', u) | list }}", "{{ d.get(u) }}", "{{ r }}!", "{{ lookup('env', u) }}"],
)  # fmt: skip
def test_what_needs_an_unknown_is_unknown_for_the_same_reason(text):
    value = render(text, u=U, x="abc", d={"a": 1}, l=["a"], r={"out": U})
    assert type(value) is Unknown
    assert reason_of(value) == "depends on step 4 'build'"


def test_an_unknown_flows_within_structures_beside_what_is_known():
    assert render("{{ r.rc }}", r={"rc": 0, "out": U}) == 0
    assert first_unknown(render("{{ {'a': u, 'b': 1} }}", u=U)) is U
    assert first_unknown(render("{{ [u, 1] }}", u=U)) is U
    assert render("{{ [u, 1][1] }}", u=U) == 1
    assert render("{{ r | default({}) }}", r={"a": U})["a"] is U
    compiled = compile_value({"a": "{{ u }}", "b": "{{ k }}"}, lambda _path: AT)
    assert render_value(compiled, Vars(u=U, k=1))["a"] is U
    assert render_value(compiled, Vars(u=U, k=1))["b"] == 1


def test_a_variable_that_is_unsure_makes_the_template_unknown():
    class Unsurely(Vars):
        def get(self, name):
            raise Unsure(f"{name} is not known")

    assert reason_of(compile_text("{{ x | int }}").render(Unsurely())) == "x is not known"


@pytest.mark.parametrize(
    ("text", "revealed"),
    [
        ("{{ k }}", KEY),
        ("key={{ k }}", f"key={KEY}"),
        ("{{ 'a' ~ k }}", f"a{KEY}"),
        ("{{ 'a' + k }}", f"a{KEY}"),
        ("{{ k + 'a' }}", f"{KEY}a"),
        ("{{ k * 2 }}", KEY * 2),
        ("{{ '<%s>' % k }}", f"<{KEY}>"),
        ("{{ '<%(a)s>' % {'a': k} }}", f"<{KEY}>"),
        ("{{ '<{}>'.format(k) }}", f"<{KEY}>"),
        ("{{ '<{a[b]}>'.format(a={'b': k}) }}", f"<{KEY}>"),
        ("{{ '-'.join([k, 'x']) }}", f"{KEY}-x"),
        ("{{ k | upper }}", KEY.upper()),
        ("{{ k.upper() }}", KEY.upper()),
        ("{{ k[0:6] }}", KEY[:6]),
        ("{{ k[0] }}", KEY[0]),
        ("{{ k | trim | quote }}", KEY),
        ("{{ k | b64encode | b64decode }}", KEY),
        ("{{ [k, 'x'] | join(',') }}", f"{KEY},x"),
        ("{{ {'k': k} | to_json }}", f'{{"k": "{KEY}"}}'),
        ("{{ {'k': k} | to_nice_yaml }}", f"k: {KEY}\n"),
        ("{{ d.key }}", KEY),
        ("{{ d | dict2items | map(attribute='value') | first }}", KEY),
        ("{{ {'a': 1} | combine({'k': k}) | dict2items | map(attribute='value') | last }}", KEY),
        ("{{ k | default('x') }}", KEY),
        ("{{ none | default(k, true) }}", KEY),
        ("{{ k or 'x' }}", KEY),
        ("{{ k if k else 'x' }}", KEY),
        ("{{ 'x' | replace('x', k) }}", KEY),
        ("{{ [d]|join }}", "{'key': '" + KEY + "'}"),
        ("{% set v = k %}{{ v }}", KEY),
        ("{% set v %}<{{ k }}>{% endset %}{{ v }}", f"<{KEY}>"),
        ("{% macro m(p) %}<{{ p }}>{% endmacro %}{{ m(k) }}", f"<{KEY}>"),
        ("{% for c in [k] %}{{ c }};{% endfor %}", f"{KEY};"),
        ("{% filter upper %}{{ k }}{% endfilter %}", KEY.upper()),
        ("{{ k | hash('sha256') | length }}{{ k }}", f"64{KEY}"),
    ],
)
def test_what_is_made_of_a_secret_is_one_and_holds_its_text(text, revealed):
    value = render(text, k=Secret(KEY), d={"key": Secret(KEY)})
    assert type(value) is Secret
    assert value.reveal() == revealed
    assert "***" not in value.reveal()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ k | length }}", len(KEY)),
        ("{{ k == 'x' }}", False),
        ("{{ k == same }}", True),
        ("{{ k != same }}", False),
        ("{{ 'hunter' in k }}", True),
        ("{{ k in ['x', same] }}", True),
        ("{{ k < 'z' }}", True),
        ("{{ k is defined }}", True),
        ("{{ k is string }}", True),
        ("{{ k is match('hunter') }}", True),
        ("{{ k.startswith('hunter') }}", True),
        ("{{ {same: 1}[k] }}", 1),
        ("{{ not k }}", False),
    ],
)
def test_an_answer_about_a_secret_is_plain(text, value):
    assert render(text, k=Secret(KEY), same=KEY) == value


def test_lists_made_of_a_secret_hold_secrets():
    value = render("{{ k.split('-') }}", k=Secret(KEY))
    assert [type(part) for part in value] == [Secret, Secret]
    assert [type(part) for part in render("{{ k | split('-') }}", k=Secret(KEY))] == [Secret, Secret]
    assert render("{{ [k, 'x'] }}", k=Secret(KEY))[1] == "x"
    assert type(render("{{ [k, 'x'] | list }}", k=Secret(KEY))[1]) is str


@pytest.mark.parametrize(
    "text",
    ["{{ k | from_json }}", "{{ k | regex_search('(') }}", "{{ k | regex_replace(k, '(', nope=1) }}", "{{ k.reveal() }}", "{{ k._text }}",
     "{{ k | human_to_bytes }}", "{{ {}[k] }}", "{{ k.nope }}", "{{ k | to_datetime }}", "{{ 'x' is version(k, 'zz') }}", "{{ '%d' % k }}",
     "{{ '{0.nope}'.format(k) }}", "{{ k - 1 }}", "{{ [1].index(k) }}", "{{ k | bool }}", "{{ 'a' | regex_search(k ~ '(') }}", "{{ k() }}"],
)  # fmt: skip
def test_an_error_never_shows_a_secret(text):
    with pytest.raises(TaskFailed) as caught:
        render(text, k=Secret(KEY))
    assert "hunter" not in str(caught.value)
