"""Tasks that touch no host: they say, decide, set variables and wait."""

from __future__ import annotations

import json
import keyword
from typing import Any, Self

from pydantic import AliasChoices, ConfigDict, Field, NonNegativeFloat, model_validator

from runbook.errors import TaskFailed
from runbook.task import Conditions, Expression, Params, Said, Scope, VarsFile, task

from .lacking import DEBUG, INCLUDE_VARS, PAUSE

Words = str | list[str]


class Debug(Params):
    """What to show: one of `msg` and `var`."""

    lacks = DEBUG
    msg: Any = Field("Hello world!", description="a text or any other value")
    var: Expression = Field(None, description="an expression, without braces, whose value is shown")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.var is not None and "msg" in self.model_fields_set:
            raise ValueError("write one of `msg` (a text) and `var` (an expression)")
        return self


class Assert(Params):
    """What has to hold, and what is said of it."""

    that: Conditions = Field(description="an expression without braces, or a list of them: all must be true")
    fail_msg: Words = Field(
        "Assertion failed",
        validation_alias=AliasChoices("fail_msg", "msg"),
        description="what is said if one is not true",
    )
    success_msg: Words = Field("All assertions passed", description="what is said if all are true")
    quiet: bool = Field(default=False, description="say nothing if all are true")


class Fail(Params):
    """Why it fails."""

    msg: str = Field("Failed as requested from task", description="what is said")


class Facts(Params):
    """The variables, each under its name; `cacheable` is accepted and means nothing, as nothing is cached."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    cacheable: bool = Field(default=False, description="accepted; facts live as long as the run")

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = list(self.model_extra or {})
        if not names:
            raise ValueError("there is nothing to set; write `name: value` below set_fact")
        for name in names:
            if not name.isidentifier() or keyword.iskeyword(name):
                raise ValueError(f"{name!r} is no name for a variable; use letters, digits and _, a letter first")
        return self


class Included(Params):
    """Which file, and where its variables go."""

    lacks = INCLUDE_VARS
    file: VarsFile = Field(description="a YAML or JSON file of variables, beside the playbook or in `vars/` there")
    name: str | None = Field(None, description="put them into a mapping of this name, not among the variables")


class Pause(Params):
    """How long; without a time, until someone presses enter."""

    lacks = PAUSE
    seconds: NonNegativeFloat | None = Field(None, description="how long, in seconds")
    minutes: NonNegativeFloat | None = Field(None, description="how long, in minutes")
    prompt: str | None = Field(None, description="what is said meanwhile")

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.seconds is not None and self.minutes is not None:
            raise ValueError("write one of `seconds` and `minutes`")
        return self


@task(kind="directive", returns={"msg": "the message; with `var`, the value stands under the expression's text"})
def debug(want: Debug, view: Scope) -> Said:
    """Show a message or the value of an expression."""
    if want.var is None:
        return Said(data={"msg": want.msg}, text=_shown(want.msg))
    value = want.var.render(view)
    shown = value if isinstance(value, str) else _json(value)
    return Said(data={want.var.text: value}, text=f"{want.var.text}: {shown}")


@task(
    kind="directive",
    name="assert",
    returns={"msg": "what is said", "assertion": "the first that was not true", "evaluated_to": "what it gave"},
)
def assert_(want: Assert, view: Scope) -> Said:
    """Fail unless conditions hold."""
    false = want.that.first_false(view)
    if false is not None:
        said = _shown(want.fail_msg)
        message = said if said != "Assertion failed" else f"{said}: {false}"
        raise TaskFailed(message, data={"assertion": false, "evaluated_to": False, "msg": want.fail_msg})
    return Said(data={"msg": want.success_msg}, text="" if want.quiet else _shown(want.success_msg))


@task(kind="directive", returns={"msg": "what was said"})
def fail(want: Fail, view: Scope) -> Said:
    """Fail, saying why; usually under a `when`."""
    del view
    raise TaskFailed(want.msg, data={"msg": want.msg})


@task(kind="directive", returns={"ansible_facts": "the variables that were set"})
def set_fact(want: Facts, view: Scope) -> Said:
    """Set variables of this host for the steps that follow.

    They win over those of the play and the inventory, not over `-e`.
    """
    del view
    facts = dict(want.model_extra or {})
    return Said(data={"ansible_facts": facts}, facts=facts)


@task(kind="directive", free="file", returns={"names": "the variables that were read"})
def include_vars(want: Included, view: Scope) -> Said:
    """Read variables of this host out of a file of the controller.

    They win over those of the play and the inventory. Their values are not in the register: they may be secrets, and
    templates in them are rendered where they are used.
    """
    del view
    facts = {want.name: want.file} if want.name else want.file
    return Said(data={"names": sorted(want.file)}, facts=facts)


@task(
    kind="directive", once=True, returns={"delta": "how long the pause is, in seconds", "stdout": "the same in words"}
)
def pause(want: Pause, view: Scope) -> Said:
    """Wait, for a time or until someone at the terminal presses enter; in check mode, not at all.

    All hosts wait together, once.
    Without a time and without a terminal it fails at once, since nobody could answer.
    """
    del view
    if want.seconds is None and want.minutes is None:
        return Said(prompt=want.prompt or "Press enter to continue, Ctrl+C to interrupt")
    wait = want.seconds if want.seconds is not None else (want.minutes or 0) * 60
    number, unit = (want.seconds, "seconds") if want.seconds is not None else (want.minutes, "minutes")
    data = {"delta": wait, "stdout": f"Paused for {number:g} {unit}"}
    return Said(data=data, text=want.prompt or f"waiting {number:g} {unit}", wait=wait)


def _shown(value: Any) -> str:
    """Give a value as people read it; what is in a secret is not in it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
