"""A host's variables before the run, layer by layer from low to high, each value knowing where it was written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Problems, StepError, Where
from runbook.hosts import Inventory
from runbook.inputs import Input
from runbook.plan.context import at, compiled_vars
from runbook.plan.files import WRONG, env_layer, optional_file, vars_layer
from runbook.plan.magic import IN_THE_RUN, Place, static_magic
from runbook.playbook.model import Play
from runbook.templates import compile_value
from runbook.unknown import Unknown
from runbook.value import frozen
from runbook.variables import Late, Layer, Lazy, Variables


@frozen
class Setting:
    """What all hosts of a play share while their variables are gathered."""

    play: Play
    place: Place
    extra: Layer
    environ: Mapping[str, str]
    cwd: Path


def layers_of(setting: Setting, host: str) -> tuple[Layer, ...]:
    """Gather a host's layers from low to high; raises Problems with all that is wrong in them."""
    play, inventory = setting.play, setting.place.inventory
    layers = [_defaults(setting)]
    layers += inventory_layers(inventory, host)
    layers.append(_typed(setting, layers))
    problems: list[Invalid] = []
    for keyword, load in (("env_files", env_layer), ("vars", None), ("vars_files", vars_layer)):
        if load is None:
            layers.append(Layer("play vars", compiled_vars(play), {n: at(play, "vars", n)(()) for n in play.vars}))
            continue
        for position, text in enumerate(getattr(play, keyword)):
            document, path = play.origin(keyword, position)
            view = static_view(setting, host, layers, wrong=check_inputs(setting, host, layers))
            try:
                file = optional_file(play, text, path, view, keyword.replace("_files", " file"))
                if file is not None:
                    layers.append(load(file, document, path))
            except Problems as error:
                problems += error.problems
            except Invalid as error:
                problems.append(error)
    if problems:
        raise Problems(problems)
    return tuple(layers)


def static_view(
    setting: Setting,
    host: str,
    layers: Sequence[Layer],
    unsettled: Mapping[str, Any] | None = None,
    *,
    wrong: Collection[str] = (),
) -> Variables:
    """Give a host's variables as they are known before the run.

    `unsettled` names give Unknown values, and so do the `wrong` inputs, which are told once and not at each use.
    """
    shown = (
        dict.fromkeys(wrong, Unknown(WRONG)),
        {} if unsettled is None else unsettled,  # shared, and empty at first
        dict.fromkeys(IN_THE_RUN, Unknown("known in the run")),
        static_magic(setting.place, host),
        setting.extra.values,
        *(layer.values for layer in reversed(layers)),
    )
    return Variables(shown, environ=setting.environ, reader=_later)


def _later(path: str) -> str:
    from runbook.errors import Unsure

    raise Unsure(f"the content of {path}")


def inventory_layers(inventory: Inventory, host: str) -> list[Layer]:
    """Give what the inventory says of a host, from low to high."""
    return [_inventory_layer(label, values) for label, values in inventory.layers(host)]


def _inventory_layer(label: str, values: Mapping[str, tuple[Any, Where]]) -> Layer:
    found = {}
    for name, (value, where) in values.items():
        new = compile_value(value, partial(_same, where))
        found[name] = value if new is value else Lazy(new)
    return Layer(label, found, {name: where for name, (_, where) in values.items()})


def _same(where: Where, _path: tuple[str | int, ...] = ()) -> Where:
    return where


def _defaults(setting: Setting) -> Layer:
    """Give the inputs' defaults; an input without one is None unless it is required."""
    values: dict[str, Any] = {}
    for name, asked in setting.play.inputs.items():
        if not asked.required:
            values[name] = typed(asked, asked.default, setting.cwd)
    return Layer("input defaults", values, {name: i.where for name, i in setting.play.inputs.items() if i.where})


def typed(asked: Input, value: Any, cwd: Path) -> Any:
    """Compile a value that an input types when it is read."""
    where = asked.where or Where("")
    new = compile_value(value, partial(_same, where))
    return Lazy(new, partial(asked.read, cwd=cwd))


def _typed(setting: Setting, layers: Sequence[Layer]) -> Layer:
    """Give the inventory's values for the inputs, read by their types."""
    values: dict[str, Any] = {}
    where: dict[str, Where] = {}
    for name, asked in setting.play.inputs.items():
        for layer in reversed(layers[1:]):
            if name in layer.values:
                given = layer.values[name]
                compiled = given.compiled if isinstance(given, Lazy) else given
                values[name] = Lazy(compiled, partial(asked.read, cwd=setting.cwd))
                where |= {name: layer.where[name]} if name in layer.where else {}
                break
    return Layer("inventory, as typed by inputs", values, where)


def check_inputs(setting: Setting, host: str, layers: Sequence[Layer]) -> dict[str, Invalid]:
    """Find inputs that were not given, and values that are not of their types, by their names."""
    problems: dict[str, Invalid] = {}
    view = static_view(setting, host, layers)
    names = set(view.names())
    for name, asked in setting.play.inputs.items():
        if name not in names:
            problems[name] = _missing(asked, setting.play)
            continue
        try:
            view.get(name)
        except StepError as error:
            place = next((layer.where[name] for layer in reversed(layers) if name in layer.where), asked.where)
            excerpt = excerpt_of(setting.play, place)
            hint = error.hint or (_pass(asked) if place == asked.where else None)
            new = Invalid(error.message, where=place, hint=hint, excerpt=excerpt)
            # One whose default is made of an input that is wrong has the same fault.
            problems[name] = next((told for told in problems.values() if told.message == new.message), new)
    return problems


def _missing(asked: Input, play: Play) -> Invalid:
    message = f"the input {asked.name!r} is required"
    return Invalid(message, where=asked.where, hint=_pass(asked), excerpt=excerpt_of(play, asked.where))


def _pass(asked: Input) -> str:
    return f"pass it: -e {asked.name}=..." + (f" ({asked.help})" if asked.help else "")


def excerpt_of(play: Play, where: Where | None) -> str | None:
    """Show the line of a play's own file."""
    return play.document.excerpt(where) if where and where.file == play.document.file and where.line else None


__all__ = ["Late", "Setting", "check_inputs", "excerpt_of", "layers_of", "static_view", "typed"]
