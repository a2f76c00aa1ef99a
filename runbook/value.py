"""Values of the engine's own, cheap to define and to make: dataclasses whose comparing and showing is written once.

The standard decorator writes and compiles six methods for every class. With a hundred classes that was a fifth of the
time a one-step play takes, so what can be shared is shared here, and that a value is not changed is the type checker's
to enforce; what plugins get into their hands is `sealed`, at run time too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make a class a slotted dataclass that is not changed once it is made; equal if its compared fields are."""
    return _shared(_slotted(kind), {"__repr__": _shown, "__eq__": _equal, "__hash__": _hashed})


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def sealed(kind: type[T]) -> type[T]:
    """Make a class a slotted dataclass that cannot be changed once it is made: for what plugins get and give."""
    return _shared(_slotted(kind, frozen=True), {"__repr__": _shown, "__eq__": _equal, "__hash__": _hashed})


@dataclass_transform(field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """Make a class a slotted dataclass that is filled as things go on."""
    return _shared(_slotted(kind), {"__repr__": _shown, "__eq__": _equal, "__hash__": None})


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def named(kind: type[T]) -> type[T]:
    """Make a class a record whose fields are given by name: for those with many."""
    return _shared(_slotted(kind, kw_only=True), {"__repr__": _shown, "__eq__": _equal, "__hash__": None})


def _slotted(kind: type[T], **how: bool) -> type[T]:
    kind.__doc__ = kind.__doc__ or kind.__name__  # or its signature would be worked out for one
    return dataclass(slots=True, repr=False, eq=False, **how)(kind)


def _shared(made: type[T], methods: dict[str, Any]) -> type[T]:
    for name, method in methods.items():
        if name not in made.__dict__:
            setattr(made, name, method)
    return made


def _compared(item: Any) -> tuple[Any, ...]:
    return tuple(getattr(item, name) for name, each in item.__dataclass_fields__.items() if each.compare)


def _shown(self: Any) -> str:
    shown = (f"{n}={getattr(self, n)!r}" for n, each in self.__dataclass_fields__.items() if each.repr)
    return f"{type(self).__name__}({', '.join(shown)})"


def _equal(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hashed(self: Any) -> int:
    return hash((type(self), *_compared(self)))
