"""Which hosts a pattern means: `all`, a group, a host, `a:b`, `a,b`, `!x`, `&x`, globs, `~regex`, `group[0:2]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from runbook.suggest import suggest

LOCALHOST = "localhost"
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?\d+)|(\d+)[:-](\d*))\]")
_SEPARATOR = re.compile(r"[,:](?![^\[]*\])(?![^({]*[)}])")  # not within brackets


class NoMatch(ValueError):
    """A pattern means no host; `hint` says what could have been meant."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def choose(patterns: Iterable[str], groups: Mapping[str, Sequence[str]], hosts: Sequence[str]) -> list[str]:
    """Give the hosts that the patterns mean together, each once. Raises NoMatch also for a part that means none."""
    known = {*groups, *hosts}
    parts = [part for pattern in patterns for part in _split(pattern, known)]
    chosen: dict[str, None] = {}
    for part in parts:
        if part[0] not in "!&":
            chosen |= dict.fromkeys(_hosts_of(part, groups, hosts))
    if all(part[0] in "!&" for part in parts):
        chosen = dict.fromkeys(hosts)
    for part in parts:
        if part[0] == "&":
            both = set(_hosts_of(part[1:], groups, hosts))
            chosen = {host: None for host in chosen if host in both}
    for part in parts:
        if part[0] == "!":
            for host in _hosts_of(part[1:], groups, hosts):
                chosen.pop(host, None)
    if not chosen:
        raise NoMatch(f"'{':'.join(parts)}' leaves no host", "`a:b` is both together, `a:&b` what is in both")
    return list(chosen)


def _split(pattern: str, known: set[str]) -> list[str]:
    if pattern in known:  # an IPv6 address, for one
        return [pattern]
    return [part for each in _SEPARATOR.split(pattern) if (part := each.strip()) not in ("", "!", "&")]


def _hosts_of(part: str, groups: Mapping[str, Sequence[str]], hosts: Sequence[str]) -> list[str]:
    part = part.strip()
    found = _named(part, groups, hosts)
    subscript = None if found or part.startswith("~") else _SUBSCRIPT.fullmatch(part)
    if subscript:
        of = _named(subscript[1], groups, hosts)
        if not of:
            raise _no_match(subscript[1], groups, hosts)
        found = _cut(part, of, subscript)
    if not found:
        raise _no_match(part, groups, hosts)
    return found


def _named(name: str, groups: Mapping[str, Sequence[str]], hosts: Sequence[str]) -> list[str]:
    """Give the hosts of the groups, and the hosts, that a name, glob or `~regex` matches."""
    if name in groups:
        return list(groups[name])
    if name in hosts:
        return [name]
    if name.startswith("~"):
        try:
            matches = re.compile(name[1:]).match
        except re.error as error:
            raise NoMatch(f"'{name}' is no regular expression: {error}", "write for example ~web[0-9]+") from error
    elif any(c in name for c in "*?["):
        matches = re.compile(_glob(name)).match
    else:
        return [LOCALHOST] if name == LOCALHOST else []
    found = [host for group in groups if matches(group) for host in groups[group]]
    return list(dict.fromkeys([*found, *(host for host in hosts if matches(host))]))


def _glob(pattern: str) -> str:
    from fnmatch import translate

    return translate(pattern)


def _cut(part: str, found: list[str], subscript: re.Match[str]) -> list[str]:
    """Give one host of a group, or those from one position to another, both included."""
    if subscript[2]:
        index = int(subscript[2])
        if not -len(found) <= index < len(found):
            raise NoMatch(f"'{part}' is beyond the last of {len(found)} hosts", f"write [0] to [{len(found) - 1}]")
        return [found[index]]
    last = int(subscript[4]) if subscript[4] else len(found) - 1
    return found[int(subscript[3]) : last + 1]


def _no_match(part: str, groups: Mapping[str, Sequence[str]], hosts: Sequence[str]) -> NoMatch:
    if part in groups:
        return NoMatch(f"the group '{part}' has no hosts", "add hosts to it in the inventory")
    names = list(dict.fromkeys([*groups, *hosts, LOCALHOST]))
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    hint = suggest(part, names) or f"the inventory has: {shown}"
    return NoMatch(f"'{part}' matches no host or group", hint)
