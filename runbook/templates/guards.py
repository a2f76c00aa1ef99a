"""What surrounds filters and tests: absent, unknown and secret arguments, sizes, errors that say what came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from itertools import islice
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.runtime import Undefined

from runbook.errors import RunbookError, TaskFailed, Unsure
from runbook.templates.limits import sizes
from runbook.templates.values import LIMIT, scan, shown, tainted, too_large
from runbook.units import Secret, revealed
from runbook.unknown import Unknown, force, reason_of

# These ask whether there is a value; that parts of it are not known yet does not matter to them.
SHALLOW_FILTERS = frozenset({"d", "default", "mandatory"})
SHALLOW_TESTS = frozenset(
    {
        "boolean",
        "defined",
        "float",
        "integer",
        "iterable",
        "mapping",
        "none",
        "number",
        "sequence",
        "string",
        "undefined",
    }
    | {"failed", "succeeded", "success", "successful", "changed", "change", "skipped", "skip"}
)
# These put values elsewhere without looking into texts, so that a secret passes through them as it is.
CARRIERS = frozenset(
    {"batch", "combine", "count", "d", "default", "dict2items", "dictsort", "difference", "extract", "first", "flatten"}
    | {"groupby", "intersect", "items", "items2dict", "last", "length", "list", "mandatory", "map", "reject"}
    | {"rejectattr", "reverse", "select", "selectattr", "slice", "sort", "symmetric_difference", "ternary"}
    | {"type_debug", "union", "unique", "zip", "zip_longest"}
)

Function = Callable[..., Any]


def _lead(function: Function) -> int:
    """Say how many arguments Jinja puts before the template's own."""
    return 1 if getattr(function, "jinja_pass_arg", None) is not None else 0


def scanned(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Unknown | None, bool]:
    unknown, secret = scan(args)
    if kwargs and unknown is None:
        unknown, hidden = scan(kwargs)
        secret = secret or hidden
    return unknown, secret


def guarded_filter(name: str, function: Function) -> Function:
    """Surround a filter. An absent argument gives itself, an unknown one anywhere an Unknown, a secret one a secret."""
    lead, shallow, carrier = _lead(function), name in SHALLOW_FILTERS, name in CARRIERS

    @wraps(function)
    def guarded(*given: Any, **kwargs: Any) -> Any:
        before, args = given[:lead], given[lead:]
        if shallow:
            return args[0] if type(args[0]) is Unknown else function(*before, *args, **kwargs)
        for value in (*args, *kwargs.values()):
            if isinstance(value, Undefined):
                return value
        unknown, secret = scanned(args, kwargs)
        if unknown is not None:
            return Unknown(reason_of(unknown))
        taint = secret and not carrier
        if taint:
            args, kwargs = revealed(args), revealed(kwargs)
        try:
            sizes(name, args, kwargs)
            result = settled(function(*before, *args, **kwargs))
        except Exception as error:
            raise _explained("filter", name, args, error, secret=secret) from error
        return tainted(result) if taint else result

    return guarded


def guarded_test(name: str, function: Function) -> Function:
    """Surround a test: an unknown argument makes the whole template unsure, since no answer would be true of it."""
    lead, shallow = _lead(function), name in SHALLOW_TESTS

    @wraps(function)
    def guarded(*given: Any, **kwargs: Any) -> bool:
        before, args = given[:lead], given[lead:]
        if type(args[0]) is Unknown:
            force(args[0])
        if name in ("defined", "undefined"):
            return bool(function(*before, *args, **kwargs))
        for value in (*args, *kwargs.values()):
            if isinstance(value, Undefined):
                str(value)  # raises what it has to say
        secret = False
        if shallow:
            args = tuple(value.reveal() if type(value) is Secret else value for value in args)
        else:
            unknown, secret = scanned(args, kwargs)
            if unknown is not None:
                force(unknown)
            if secret:
                args, kwargs = revealed(args), revealed(kwargs)
        try:
            return bool(function(*before, *args, **kwargs))
        except Exception as error:
            raise _explained("test", name, args, error, secret=secret) from error

    return guarded


def settled(value: Any) -> Any:
    """Give a filter's result as data: a list for an iterator, text without markup; refuse what is too large."""
    if isinstance(value, Iterator):
        value = list(islice(value, LIMIT + 1))
    if isinstance(value, str | list) and len(value) > LIMIT:
        raise too_large("the result")
    return str.__str__(value) if isinstance(value, str) and type(value) is not str else value


def _explained(what: str, name: str, args: tuple[Any, ...], error: Exception, *, secret: bool) -> Exception:
    """Give an error that names the filter and what came in; those that already say it, as they are."""
    if isinstance(error, RunbookError | Unsure | TemplateError):
        return error
    came = "a secret" if secret else shown(args[0]) if args else "nothing"
    why = type(error).__name__ if secret else str(error) or type(error).__name__
    return TaskFailed(f"the {what} {name!r} cannot use {came}: {why}")
