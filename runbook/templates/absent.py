"""What a template gets for a name, attribute or element that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Self

from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError
from jinja2.runtime import StrictUndefined
from jinja2.utils import missing

from runbook.suggest import suggest
from runbook.units import Secret


class UsedAbsent(UndefinedError):
    """An absent value was used; `absent` is it."""

    def __init__(self, absent: Absent) -> None:
        super().__init__("undefined")
        self.absent = absent


class Absent(StrictUndefined):
    """Nothing: attributes and items of it are nothing too, so that `a.b.c | default(x)` asks once; any use is an error.

    `owner` is how the template wrote the object that lacks it, where that has a short form.
    """

    __slots__ = ("owner",)

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: Any = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
        *,
        owner: str | None = None,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        self.owner = owner

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):  # a protocol that Python asks for
            raise AttributeError(name)
        return self

    def __getitem__(self, name: Any) -> Self:  # type: ignore[override]
        return self

    def use(self, *_: Any, **__: Any) -> NoReturn:
        """Raise the error of using what is not there."""
        if self._undefined_exception is SecurityError:
            raise SecurityError(self._undefined_hint)
        raise UsedAbsent(self)

    @property
    def written(self) -> str:
        """What to look for in the template's line: the object that lacks it, or the name itself."""
        return str(self.owner or self._undefined_name)

    def message(self) -> str:
        """Say what is not there: `'results' has no attribute 'pth'`."""
        name: Any = self._undefined_name
        obj: Any = self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint.rstrip(".")
        if obj is missing:
            return f"{name!r} is not defined"
        owner = repr(self.owner) if self.owner else _kind(obj)
        if isinstance(name, int) and isinstance(obj, list | tuple | str):
            return f"{owner} has no element {name}: it has {len(obj)}"
        return f"{owner} has no attribute {name!r}"

    def suggestion(self, names: Iterable[str]) -> str | None:
        """Give the nearest of the names (of variables), or of the object's keys."""
        name: Any = self._undefined_name
        obj: Any = self._undefined_obj
        if not isinstance(name, str) or self._undefined_hint:
            return None
        if obj is missing:
            return suggest(name, names)
        keys = [key for key in obj if isinstance(key, str)] if isinstance(obj, Mapping) else []
        near = suggest(name, keys)
        if near is None and 0 < len(keys) <= 12:
            return f"it has {', '.join(keys)}"
        return near

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = use
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __pos__ = __neg__ = use
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __hash__ = use
    __call__ = __bool__ = __str__ = __iter__ = __len__ = __contains__ = __int__ = __float__ = use


def _kind(obj: Any) -> str:
    if isinstance(obj, Mapping):
        return "the mapping"
    if isinstance(obj, str | Secret):
        return "the text"
    return "the list" if isinstance(obj, list | tuple) else f"the {type(obj).__name__}"
