"""What a plugin is: typed params, and a function that says what is missing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints, overload

from pydantic import AliasChoices, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from runbook.templates import Condition, Need, Scope, Template
from runbook.units import Secret
from runbook.value import frozen

Kind = Literal["state", "action", "probe", "directive"]
Use = Literal["expression", "conditions", "vars file", "template file", "controller path"]

# How the engine prepares a param before it is validated; without a mark its templates are rendered.
# An Expression becomes an Asked, Conditions a Condition: the directive works them out in the view it is given.
Expression = Annotated[Any, "expression"]
Conditions = Annotated[Any, "conditions"]
VarsFile = Annotated[Any, "vars file"]
TemplateFile = Annotated[Any, "template file"]
ControllerPath = Annotated[str, "controller path"]

__all__ = [
    "Asked",
    "Condition",
    "Conditions",
    "ControllerPath",
    "Expression",
    "Params",
    "Rendered",
    "Said",
    "Scope",
    "TaskSpec",
    "TemplateFile",
    "VarsFile",
    "aliases",
    "declared",
    "names_of",
    "task",
]


class Params(BaseModel):
    """What a step may say to a task; the docstring of a subclass is read by `runbook tasks`.

    `lacks` are params that a task of the same name has elsewhere, each with what to write instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)
    lacks: ClassVar[Mapping[str, str]] = {}


@frozen
class Asked:
    """What an `Expression` param becomes: its text, and its value in the view of whoever asks."""

    text: str
    template: Template

    @property
    def needs(self) -> tuple[Need, ...]:
        """The variables that must be defined for it."""
        return self.template.needs

    def render(self, view: Scope) -> Any:
        """Give the expression's value; raises TaskFailed, or gives an Unknown."""
        return self.template.render(view)


@frozen
class Rendered:
    """What a `TemplateFile` param becomes: the controller's file it was read from, and its rendered text."""

    path: str
    text: str | Secret


@frozen
class Said:
    """What a directive answers.

    `data` is what `register` gets, `text` is shown to the operator, `facts` become variables of the host, and `wait`
    is a time in seconds that the run is held up (not in check mode).
    """

    data: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    facts: dict[str, Any] | None = None
    wait: float = 0.0
    prompt: str | None = None


@frozen
class TaskSpec:
    """A task as the engine knows it.

    `name` is what a step writes, `function` takes the params and a Host (a directive: the variables), `free` is the
    param that a bare text stands for, `returns` says what `register` gets, `reads` names the clients it may open, and
    `once` says that it runs on the first host, for all of them. `extra` names the optional dependencies it needs.
    `affects` are the params that say what it changes, None for what changes nothing but files.
    """

    name: str
    kind: Kind
    params: type[Params]
    function: Callable[[Any, Any], Any]
    doc: str
    free: str | None = None
    returns: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    uses: Mapping[str, Use] = field(default_factory=dict)
    once: bool = False
    extra: str | None = None
    affects: tuple[str, ...] | None = None

    def use_of(self, param: str) -> Use | None:
        """Say how a param is prepared, where it is not simply rendered."""
        return self.uses.get(param)

    def field(self, param: str) -> FieldInfo | None:
        """Give a param by its name or one of its aliases."""
        fields = self.params.model_fields
        return fields.get(param) or next((info for info in fields.values() if param in aliases(info)), None)

    def names(self) -> list[str]:
        """Give the name of each param, and its aliases after it."""
        return [name for field, info in self.params.model_fields.items() for name in names_of(field, info)]


def names_of(field: str, info: FieldInfo) -> list[str]:
    """Give the names that a param may be written under, its own first; the field `json_` is the param `json`."""
    own = [] if field.endswith("_") else [field]
    return [*own, *(name for name in aliases(info) if name != field)]


def _uses(params: type[Params]) -> dict[str, Use]:
    """Give how each param is prepared, under each of its names."""
    marks: tuple[Use, ...] = get_args(Use)
    found: dict[str, Use] = {}
    for name, info in params.model_fields.items():
        for mark in marks:
            if mark in info.metadata:
                found |= dict.fromkeys((name, *aliases(info)), mark)
    return found


def aliases(info: FieldInfo) -> list[str]:
    """Give the other names that a param may be written under."""
    choices = info.validation_alias
    if isinstance(choices, AliasChoices):
        return [choice for choice in choices.choices if isinstance(choice, str)]
    return [choices] if isinstance(choices, str) else []


@frozen
class _Declared:
    kind: Kind
    name: str | None
    free: str | None
    returns: Mapping[str, str]
    reads: tuple[str, ...]
    once: bool
    extra: str | None
    affects: tuple[str, ...] | None


Plugin = Callable[[Any, Any], Any]


@overload
def task(function: Plugin) -> Plugin: ...
@overload
def task(
    *,
    kind: Kind = "state",
    name: str | None = None,
    free: str | None = None,
    returns: Mapping[str, str] | None = None,
    reads: tuple[str, ...] = (),
    once: bool = False,
    extra: str | None = None,
    affects: tuple[str, ...] | None = None,
) -> Callable[[Plugin], Plugin]: ...
def task(
    function: Plugin | None = None,
    *,
    kind: Kind = "state",
    name: str | None = None,
    free: str | None = None,
    returns: Mapping[str, str] | None = None,
    reads: tuple[str, ...] = (),
    once: bool = False,
    extra: str | None = None,
    affects: tuple[str, ...] | None = None,
) -> Any:
    """Declare a function a task: `domain.function` in playbooks.

    `kind` is "state" (asked again after a change), "action" (acts every time), "probe" (reads only) or "directive" (a
    pure function of variables). `name` replaces the function's name where that is a Python keyword. `free` names the
    param that a bare text after the task stands for. `returns` documents what `register` gets. `once` is for what is
    about the run and not about a host: it runs on the first host, as with `run_once`. `extra` names the optional
    dependencies (`onnx`; several: `torch,onnx`), as in `pip install 'runbook[onnx]'`, without which a playbook with the
    task is refused.
    """

    def declare(plugin: Plugin) -> Plugin:
        plugin.__task__ = _Declared(kind, name, free, returns or {}, reads, once, extra, affects)  # type: ignore[attr-defined]
        return plugin

    return declare if function is None else declare(function)


def declared(function: Any, domain: str) -> TaskSpec | None:
    """Give the spec of a function that `@task` declared; TypeError says what its signature lacks."""
    declaration: _Declared | None = getattr(function, "__task__", None)
    if declaration is None:
        return None
    short = declaration.name or function.__name__
    name = f"{domain}.{short}" if domain else short
    if not inspect.getdoc(function):
        raise TypeError(f"the task {name} needs a docstring: its first line is what `runbook tasks` shows")
    want = next(iter(inspect.signature(function).parameters), "")
    params = get_type_hints(function).get(want)
    if not (isinstance(params, type) and issubclass(params, Params)):
        raise TypeError(f"the first parameter of the task {name} must be annotated with a subclass of Params")
    return TaskSpec(
        name,
        declaration.kind,
        params,
        function,
        inspect.getdoc(function) or "",
        declaration.free,
        declaration.returns,
        declaration.reads,
        _uses(params),
        declaration.once,
        declaration.extra,
        declaration.affects,
    )
