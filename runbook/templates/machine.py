"""The sandboxed Jinja environment that templates run in; imported when the first one needs more than names."""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import islice
from string import Formatter
from typing import Any

from jinja2.exceptions import UndefinedError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.tests import TESTS
from jinja2.utils import Namespace, missing

from runbook.errors import TaskFailed
from runbook.templates import limits
from runbook.templates.absent import Absent
from runbook.templates.codegen import NativeCode
from runbook.templates.filters import OURS as OUR_FILTERS
from runbook.templates.guards import guarded_filter, guarded_test, scanned
from runbook.templates.judges import OURS as OUR_TESTS
from runbook.templates.lookups import lookup, query
from runbook.templates.scope import MISSING, Scope
from runbook.templates.values import LIMIT, joined, plain, scan, tainted
from runbook.units import Secret, revealed
from runbook.unknown import Unknown, force, reason_of

FILENAME = "<runbook template>"

# `random` would plan something else each time; the others write HTML for a browser that is not there.
_LEFT_OUT = frozenset({"attr", "pprint", "random", "safe", "striptags", "urlize", "xmlattr"})


class Names(Context):
    """A template's context: its own variables first, then the scope, then the functions that every template has."""

    scope: Scope

    def resolve_or_missing(self, key: str) -> Any:
        if key in self.vars:
            return self.vars[key]
        if key in self.parent:
            return self.parent[key]
        value = self.scope.get(key)
        return self.environment.globals.get(key, missing) if value is MISSING else value

    def derived(self, locals: dict[str, Any] | None = None) -> Names:  # noqa: A002 - Jinja's name
        context = super().derived(locals)
        assert isinstance(context, Names)
        context.scope = self.scope
        return context


class Machine(ImmutableSandboxedEnvironment):
    """Jinja with native values, and with our hands on all that may be absent, unknown, secret or too large."""

    code_generator_class = NativeCode
    context_class = Names
    concat = staticmethod(joined)  # type: ignore[assignment]
    tilde = staticmethod(partial(joined, none="None"))
    plain = staticmethod(plain)
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *, trim_blocks: bool, lstrip_blocks: bool) -> None:
        super().__init__(
            trim_blocks=trim_blocks,
            lstrip_blocks=lstrip_blocks,
            keep_trailing_newline=True,
            undefined=Absent,
            optimized=False,
            cache_size=0,
        )
        filters: Mapping[str, Callable[..., Any]] = {**FILTERS, **OUR_FILTERS}
        tests: Mapping[str, Callable[..., Any]] = {**TESTS, **OUR_TESTS}  # type: ignore[dict-item]
        self.filters = {name: guarded_filter(name, filters[name]) for name in filters if name not in _LEFT_OUT}
        self.tests = {name: guarded_test(name, test) for name, test in tests.items()}
        self.globals = {"dict": dict, "lookup": lookup, "namespace": Namespace, "q": query, "query": query}
        self.globals["range"] = _short_range

    def getattr(self, obj: Any, attribute: str, owner: str | None = None) -> Any:
        """Give `obj.attribute`: a mapping's key comes before its methods."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if type(obj) is Unknown:
            return obj[attribute] if attribute.startswith("_") else getattr(obj, attribute)
        if type(obj) is Secret:
            return self._of_secret(super().getattr(obj.reveal(), attribute))
        return _owned(super().getattr(obj, attribute), obj, owner)

    def getitem(self, obj: Any, argument: Any, owner: str | None = None) -> Any:
        """Give `obj[argument]`; a slice too."""
        if type(argument) is Unknown:
            force(argument)
        if type(obj) is Secret:
            return self._of_secret(super().getitem(obj.reveal(), argument))
        return _owned(super().getitem(obj, argument), obj, owner)

    def _of_secret(self, value: Any) -> Any:
        """Give what was read of a secret's text as a secret; a method as one that gives secrets."""
        if isinstance(value, Undefined) or not callable(value):
            return tainted(value) if isinstance(value, str) else value

        def method(*args: Any, **kwargs: Any) -> Any:
            return tainted(_limited(value, revealed(args), revealed(kwargs)))

        return method

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        secret = type(left) is Secret or type(right) is Secret or (operator == "%" and scan(right)[1])
        if not secret or type(left) is Unknown or type(right) is Unknown:
            return limits.operate(operator, left, right)
        return tainted(limits.operate(operator, revealed(left), revealed(right)))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, method or macro; an unknown argument gives an Unknown, a secret one a secret."""
        if isinstance(obj, Macro | LoopContext) or obj is Namespace:
            return super().call(context, obj, *args, **kwargs)
        inner = {key: kwargs.pop(key) for key in ("_loop_vars", "_block_vars") if key in kwargs}
        if type(obj) is Unknown:
            return obj(*args, **kwargs)
        unknown, secret = scanned(args, kwargs)
        carries = obj is dict or isinstance(getattr(obj, "__self__", None), Mapping | list | tuple)
        if unknown is not None and not carries:
            return Unknown(reason_of(unknown))
        run = partial(super().call, context)
        if not secret or carries:
            return _limited(obj, args, kwargs, run=partial(run, **inner))
        return tainted(_limited(obj, revealed(args), revealed(kwargs), run=partial(run, **inner)))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Give `str.format` with its field access sandboxed and its widths limited."""
        if not isinstance(value, types.BuiltinMethodType) or value.__name__ not in ("format", "format_map"):
            return None
        text = value.__self__
        if not isinstance(text, str):
            return None
        formatter = _LimitedFormatter(self)
        if value.__name__ == "format_map":
            return lambda mapping: formatter.vformat(text, (), mapping)
        return lambda *args, **kwargs: formatter.vformat(text, args, kwargs)


class _LimitedFormatter(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        limits.spec(format_spec)
        return Formatter.format_field(self, value, format_spec)


def _owned(value: Any, obj: Any, owner: str | None) -> Any:
    """Tell an absent value how the template wrote the object that lacks it."""
    if isinstance(value, Absent) and value is not obj:
        value.owner = owner
    return value


def _limited(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, run: Callable[..., Any] | None = None
) -> Any:
    bound = getattr(function, "__self__", None)
    if isinstance(bound, str | bytes | int):
        limits.method(bound, function.__name__, args, kwargs)
    return run(function, *args, **kwargs) if run else function(*args, **kwargs)


def _short_range(*bounds: Any) -> range:
    numbers = range(*map(operator.index, bounds))
    if len(numbers) > 100_000:
        raise TaskFailed(f"range{bounds!r} has more than 100,000 numbers")
    return numbers


def settle(value: Any) -> Any:
    """Give a template's value as data: lists for iterators and views; what is absent anywhere in it is an error."""
    kind = type(value)
    if kind in (str, int, float, bool, type(None), Unknown, Secret):
        return value
    if isinstance(value, Undefined):
        str(value)
        raise UndefinedError(value._undefined_message)  # noqa: SLF001 - how Jinja says it
    if kind is dict:
        settled = {settle(key): settle(item) for key, item in value.items()}
        same = len(settled) == len(value) and all(map(operator.is_, settled.values(), value.values()))
        return value if same else settled
    if kind in (list, tuple):
        items = [settle(item) for item in value]
        return value if all(map(operator.is_, items, value)) else kind(items)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Iterator | range | types.GeneratorType) or kind.__name__ in _VIEWS:
        return [settle(item) for item in islice(value, LIMIT)]
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | Macro | type):
        raise TaskFailed(
            f"{getattr(value, '__name__', 'this')!r} is a function, not a value", hint="call it: write `()`"
        )
    return list(map(settle, value)) if isinstance(value, tuple) else value


_VIEWS = frozenset({"dict_keys", "dict_values", "dict_items"})


@lru_cache
def machine(*, trim_blocks: bool = False, lstrip_blocks: bool = False) -> Machine:
    """Give the environment; it is made once for each way to treat the space around blocks."""
    return Machine(trim_blocks=trim_blocks, lstrip_blocks=lstrip_blocks)
