"""Bad input to a filter or test is an error that says so, never a traceback."""

from __future__ import annotations

import pytest
from template_scope import render

from runbook.errors import TaskFailed

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'maybe' | bool", "the filter 'bool' cannot use 'maybe': it is no boolean"),
        ("2 | bool", "it is no boolean"),
        ("[1] | bool", "it is no boolean"),
        ("x | mandatory", "'x' is not defined"),
        ("x | mandatory('set x, please')", "set x, please"),
        ("'{' | from_json", "the filter 'from_json' cannot use '{': it is no JSON"),
        ("{} | from_json", "it is no text"),
        ("'a: [' | from_yaml", "the filter 'from_yaml' cannot use 'a: [': it is no YAML"),
        ("'!!python/object:os.system {}' | from_yaml", "it is no YAML"),
        ("bomb | from_yaml", "with its aliases written out it has more than 1,000,000 values"),
        ("'&a [*a]' | from_yaml", "with its aliases written out"),
        ("'a' | regex_search('(')", "'(' is no regular expression"),
        ("'a' | regex_search('a', 'x')", "'x' names no group"),
        ("'a' | regex_search('a', '\\\\3')", "no such group"),
        ("'a' | regex_replace('a', '\\\\3')", "is no replacement for 'a'"),
        ("'ab' | regex_replace('a', 'b', mandatory_count=2)", "matched 1 times, not 2"),
        ("none | regex_replace('a', 'b')", "it is no text"),
        ("'?' | b64decode", "the filter 'b64decode' cannot use '?': it is no base64"),
        ("'/w==' | b64decode", "it is no base64 of utf-8 text"),
        ("'a' | hash('nope')", "there is no digest 'nope'"),
        ("{} | combine(1)", "combine takes mappings, not int"),
        ("{} | combine({}, list_merge='x')", "there is no list_merge 'x'"),
        ("[] | dict2items", "dict2items takes a mapping, not list"),
        ("{} | items2dict", "items2dict takes a list, not dict"),
        ("[{'a': 1}] | items2dict", "each item needs 'key' and 'value'"),
        ("'x' | human_readable", "the filter 'human_readable' cannot use 'x'"),
        ("1 | human_readable(unit='Q')", "there is no unit 'Q'"),
        ("'10 parsecs' | human_to_bytes", "it is no size"),
        ("'%Y' | strftime", "it needs the time"),
        ("'x' | to_datetime", "does not match format"),
        ("1 | basename", "the filter 'basename' cannot use 1"),
        ("{'a': r} | to_json", "has no form in JSON"),
        ("'a' is version('', '<')", "the test 'version' cannot use 'a': a version is empty"),
        ("'1' is version('2', '~')", "there is no operator '~'"),
        ("'1' is version('2', version_type='x')", "version_type is loose or semver"),
        ("'1' is version('2', '<', version_type='semver')", "is no semantic version"),
        ("'a' is failed", "it is no result of a step"),
        ("'a' is search('(')", "is no regular expression"),
        ("'a' is regex('a', match_type='x')", "match_type is search, match or fullmatch"),
        ("'a' | regex_search", "missing 1 required positional argument: 'pattern'"),
    ],
)
def test_bad_input_is_an_error_that_names_the_filter_and_what_came_in(expression, message):
    with pytest.raises(TaskFailed) as caught:
        render("{{ " + expression + " }}", bomb=BOMB, r=object())
    assert message in caught.value.message
