"""`lookup` and `query`: an environment variable, a file of the controller, a variable by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.runtime import Context, Undefined
from jinja2.utils import pass_context

from runbook.errors import TaskFailed
from runbook.suggest import suggest
from runbook.templates.absent import Absent
from runbook.templates.scope import MISSING, Scope


def _env(scope: Scope, name: str, default: Any) -> Any:
    return scope.environ.get(name, "" if default is MISSING else default)


def _file(scope: Scope, name: str, default: Any) -> Any:
    try:
        return scope.read_file(name).rstrip()
    except TaskFailed:
        if default is MISSING:
            raise
        return default


def _vars(scope: Scope, name: str, default: Any) -> Any:
    value = scope.get(name)
    if value is not MISSING:
        return value
    return Absent(name=name) if default is MISSING else default


KINDS: Mapping[str, Callable[[Scope, str, Any], Any]] = {"env": _env, "file": _file, "vars": _vars}


def refusal(kind: str) -> tuple[str, str]:
    """Say that there is no such lookup, and what to do instead."""
    short = kind.removeprefix("ansible.builtin.")
    near = suggest(short, KINDS)
    hint = near or "there are env, file and vars; what else has to be read, a step reads and registers"
    return f"there is no lookup {kind!r}", hint


def _values(context: Context, kind: str, terms: tuple[Any, ...], default: Any, options: Mapping[str, Any]) -> list[Any]:
    read = KINDS.get(str(kind).removeprefix("ansible.builtin."))
    if read is None:
        message, hint = refusal(str(kind))
        raise TaskFailed(message, hint=hint)
    if options:
        raise TaskFailed(f"lookup({kind!r}) has no option {next(iter(options))!r}", hint="there is `default=`")
    names = [name for term in terms for name in (term if isinstance(term, list) else [term])]
    for name in names:
        if isinstance(name, Undefined):
            str(name)
        if not isinstance(name, str):
            raise TaskFailed(f"lookup({kind!r}) needs a name, not {name!r}")
    scope: Scope = context.scope  # type: ignore[attr-defined]
    return [read(scope, name, default) for name in names]


@pass_context
def lookup(context: Context, kind: str, *terms: Any, default: Any = MISSING, **options: Any) -> Any:
    """Give what is looked up; several are joined by commas, as Ansible does."""
    values = _values(context, kind, terms, default, options)
    return values[0] if len(values) == 1 else ",".join(map(str, values))


@pass_context
def query(context: Context, kind: str, *terms: Any, default: Any = MISSING, **options: Any) -> list[Any]:
    """Give what is looked up, always as a list."""
    return _values(context, kind, terms, default, options)
