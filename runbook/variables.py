"""Variables of a host: layers from low to high, rendered when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from runbook.errors import Invalid, TaskFailed, Where
from runbook.templates import MISSING, compile_value, render_value
from runbook.unknown import Unknown
from runbook.value import frozen


class Omit:
    """What `{{ omit }}` gives: the param is left out, as if it had not been written."""

    def __repr__(self) -> str:
        return "omit"


OMIT = Omit()


class Lazy:
    """A variable's value that holds templates: rendered in the view that reads it.

    `read` gives what was rendered the type of an input; it raises ValueError.
    """

    __slots__ = ("compiled", "read")

    def __init__(self, compiled: Any, read: Callable[[Any], Any] | None = None) -> None:
        self.compiled = compiled
        self.read = read


class Late:
    """A variable's value that is computed when it is first read."""

    __slots__ = ("compute",)

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.compute = compute


@frozen
class Layer:
    """Variables that come from one place: `label` says which, `where` the position of each."""

    label: str
    values: Mapping[str, Any]
    where: Mapping[str, Where] = field(default_factory=dict)


def folded(values: Mapping[str, Any]) -> Lazy:
    """Give variables as one, a mapping of them, whose templates are rendered where it is read."""
    return Lazy({name: value.compiled if type(value) is Lazy else value for name, value in values.items()})


def compiled_layer(label: str, values: Mapping[str, Any], where: Callable[[tuple[str | int, ...]], Where]) -> Layer:
    """Make a layer out of what a user wrote; a syntax error in one of its templates is `Problems`."""
    compiled = {name: compile_value(value, where, (name,)) for name, value in values.items()}
    lazy = {name: new if new is values[name] else Lazy(new) for name, new in compiled.items()}
    return Layer(label, lazy, {name: where((name,)) for name in values})


class Variables:
    """One view of a host's variables: `layers` from high to low, each a mapping of a name to its value.

    It is what templates call a scope. A name that is read while it is being rendered is an error.
    """

    __slots__ = ("_memo", "_open", "environ", "layers", "reader")

    def __init__(
        self,
        layers: Sequence[Mapping[str, Any]],
        *,
        environ: Mapping[str, str],
        reader: Callable[[str], str],
    ) -> None:
        self.layers = layers
        self.environ = environ
        self.reader = reader
        self._memo: dict[str, Any] = {}
        self._open: list[str] = []

    def get(self, name: str) -> Any:
        """Give a variable's value, rendered; MISSING where it is not defined."""
        if name in self._memo:
            return self._memo[name]
        for layer in self.layers:
            if name in layer:
                value = layer[name]
                if type(value) is Lazy:
                    value = self._memo[name] = self._render(name, value)
                elif type(value) is Late:
                    value = self._memo[name] = value.compute()
                return value
        return MISSING

    def _render(self, name: str, lazy: Lazy) -> Any:
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise TaskFailed(f"the variable {name!r} is made of itself: {circle}")
        self._open.append(name)
        try:
            value = render_value(lazy.compiled, self)
            return value if lazy.read is None or isinstance(value, Unknown) else lazy.read(value)
        except ValueError as error:
            raise TaskFailed(f"the input {name!r}: {error}") from error
        finally:
            self._open.pop()

    def names(self) -> Iterator[str]:
        seen: set[str] = set()
        for layer in self.layers:
            yield from (name for name in layer if name not in seen)
            seen.update(layer)

    def read_file(self, path: str) -> str:
        """Read a file of the controller, for `lookup('file')`."""
        return self.reader(path)

    def over(self, *layers: Mapping[str, Any]) -> Variables:
        """Give a view with more layers on top, the highest first."""
        return Variables((*layers, *self.layers), environ=self.environ, reader=self.reader)


class AsMapping(Mapping[str, Any]):
    """A view of variables as a mapping, for `hostvars` and `vars`; values are rendered when they are read."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        value = self._variables.get(name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return self._variables.names()

    def __len__(self) -> int:
        return sum(1 for _ in self)


def value_of(variables: Variables, name: str) -> Any:
    """Give a variable that must be there; `Invalid` otherwise."""
    value = variables.get(name)
    if value is MISSING:
        raise Invalid(f"the variable {name!r} is not defined")
    return value
