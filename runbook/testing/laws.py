"""The laws that a case holds a plugin to, on one machine."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runbook.changes import Change
from runbook.engine.rounds import Record, Round, apply, ask, perform
from runbook.errors import RunbookError, TaskFailed, Unsure
from runbook.host import Overlay
from runbook.registry import Registry
from runbook.task import Rendered, TaskSpec
from runbook.testing.case import Case, Entry
from runbook.testing.site import Files, Memory, Seen, Site, time_of
from runbook.unknown import resolved


def run_case(case: Case, folder: Path | None = None, *, plugins: Sequence[Path] = ()) -> list[str]:
    """Play a case in memory, or with `folder` on real files in it, and say which laws it breaks: none if all is well.

    The laws: the plan is as expected; planning and checking change nothing, and check foretells the plan; applying
    gives `after`; a state that is asked again has nothing left to do. `plugins` are folders of tasks that are looked
    through before the shipped ones.
    """
    if not case.plays_on(real=folder is not None):
        return [f"the case is not for {'memory' if folder is None else 'real files'}"]
    site = Memory(case) if folder is None else Files(case, folder)
    return list(Trial(case, site, Registry(plugins).spec(case.task)).broken())


class Silent:
    """A watcher that tells nobody."""

    def planned(self, changes: list[dict[str, Any]], attempt: int) -> None:
        """Take the plan."""

    def applied(self, position: int) -> None:
        """Take note of a change that was made."""

    def settled(self, *, ok: bool) -> None:
        """Take note of the end."""


class Trial:
    """A case that is played once."""

    def __init__(self, case: Case, site: Site, spec: TaskSpec) -> None:
        self.case, self.site, self.spec = case, site, spec

    def broken(self) -> Iterator[str]:
        """Yield what is not as the case says; stop before a plan that was not expected is applied."""
        before = self.site.seen()
        self.site.host = self.site.host.begin(f"the case {self.case}")
        try:
            want = self._params()
            changes, data = ask(self.spec, want, self.site.host)
        except (RunbookError, ValidationError, Unsure) as error:
            yield from self._failure(error)
            yield from _differences("planning changed", before, self.site.seen())
            if self.case.changes:
                yield f"nothing was planned: {error}"
            return
        wrong = [
            *self._unexpected(changes),
            *self._rehearsed(want, changes),
            *_differences("planning or checking changed", before, self.site.seen()),
        ]
        yield from wrong
        if not wrong:
            yield from self._applied(want, changes, data, before)

    def _params(self) -> Any:
        params = dict(self.site.rooted(self.case.params))
        for name, value in params.items():
            if self.spec.use_of(name) == "template file":
                params[name] = Rendered(**value)
        return self.spec.params.model_validate(params)

    def _failure(self, error: Exception | None) -> Iterator[str]:
        """Say how an error differs from the expected one."""
        said = "" if error is None else self.site.unrooted(str(error))
        if error is not None and self.case.error is None:
            yield f"it failed: {said}"
        elif self.case.error is not None and error is None:
            yield f"it did not fail with {self.case.error!r}"
        elif self.case.error is not None and self.case.error not in said:
            yield f"it failed with {said!r}, not with {self.case.error!r}"

    def _unexpected(self, changes: Sequence[Change]) -> Iterator[str]:
        planned = [self.site.unrooted(change.to_json()) for change in changes]
        wanted = [each.model_dump(exclude_none=True) for each in self.case.changes]
        shown = [{key: each[key] for key in ("kind", "target", "detail")} for each in planned]
        if len(planned) != len(wanted):
            yield f"{len(wanted)} changes were expected, and {len(planned)} planned: {shown}"
            return
        for number, (each, expected) in enumerate(zip(planned, wanted, strict=True), 1):
            if not expected.items() <= each.items():
                yield f"change {number} is { ({key: each[key] for key in expected}) }, not {expected}"

    def _rehearsed(self, want: Any, changes: Sequence[Change]) -> Iterator[str]:
        """Say how check mode differs from the plan, or from the failure that the case expects."""
        record = Record()
        try:
            perform(self.spec, want, Overlay(self.site.host, imagined=True), record, Silent())
        except Unsure:
            return
        except RunbookError as error:
            if self.case.error is None or self.case.error not in self.site.unrooted(str(error)):
                yield f"check mode failed: {error}"
        foretold = [(change["kind"], change["target"], change["detail"]) for change in record.changes]
        planned = [(change.kind, change.target, change.describe()) for change in changes]
        if foretold != planned:
            yield f"check mode foretold {foretold}, and {planned} was planned"

    def _applied(self, want: Any, changes: Sequence[Change], data: Any, before: Mapping[str, Seen]) -> Iterator[str]:
        error: RunbookError | None = None
        try:
            apply(changes, self.site.host, Record(), Silent(), Round(1, last=True), set())
            data = resolved(data)
        except RunbookError as failed:
            error = failed
        yield from self._failure(error)
        after = self.site.seen()
        if self.case.after is None:
            yield from _differences("applying changed", before, after)
        else:
            yield from self._tree(self.case.after, before, after)
        if error is not None:
            return
        if self.case.returns:
            yield from _lacking(self.case.returns, self.site.unrooted(data), "what it returned")
        if self.spec.kind == "state":
            yield from self._asked_again(want)

    def _asked_again(self, want: Any) -> Iterator[str]:
        try:
            left, _ = ask(self.spec, want, self.site.host)
        except (TaskFailed, Unsure) as error:
            yield f"asked again, it fails: {self.site.unrooted(str(error))}"
            return
        for change in left:
            yield f"asked again, it still wants: {change.kind} {self.site.unrooted(change.target)} {change.describe()}"

    def _tree(
        self, wanted: Mapping[str, Entry | str], before: Mapping[str, Seen], after: Mapping[str, Seen]
    ) -> Iterator[str]:
        above = {str(parent) for path in wanted for parent in Path(path).parents}
        for path in sorted(after.keys() - wanted.keys() - above):
            yield f"afterwards {path!r} is there ({after[path].kind}), and not expected"
        for path, entry in wanted.items():
            if path not in after:
                yield f"afterwards {path!r} is not there"
            elif isinstance(entry, str):
                if after[path] != before.get(path):
                    yield f"{path!r} is not as it was: {before.get(path)} became {after[path]}"
            else:
                yield from self._entry(path, entry, after[path])

    def _entry(self, path: str, entry: Entry, seen: Seen) -> Iterator[str]:
        kind = "folder" if entry.folder else "link" if entry.link is not None else "other" if entry.fifo else "file"
        if seen.kind != kind:
            yield f"{path!r} is a {seen.kind}, no {kind}"
            return
        content = seen.content
        wanted: bytes | str | None = entry.link
        if entry.gzip is not None:
            assert isinstance(content, bytes)
            content, wanted = gzip.decompress(content), entry.gzip.encode()
        elif entry.content is not None:
            assert isinstance(content, bytes)
            content = self.site.unrooted(content.decode("utf-8", "surrogateescape"))
            wanted = entry.content
        if wanted is not None and content != wanted:
            yield f"{path!r} holds {content!r}, not {wanted!r}"
        if entry.mode is not None and seen.mode != entry.mode:
            yield f"{path!r} has mode {seen.mode:04o}, not {entry.mode}"
        if entry.age is not None and seen.mtime != time_of(self.case, entry.age):
            yield f"{path!r} is {(time_of(self.case, 0) - seen.mtime) / 1e9} s old, not {entry.age}"


def _differences(what: str, before: Mapping[str, Seen], after: Mapping[str, Seen]) -> Iterator[str]:
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"{what} {path!r}: {before.get(path)} became {after.get(path)}"


def _lacking(wanted: Any, got: Any, where: str) -> Iterator[str]:
    """Say where a value lacks what is wanted of it: dicts may hold more, everything else is equal."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, value in wanted.items():
            if key not in got:
                yield f"{where} has no {key!r}: {got}"
            else:
                yield from _lacking(value, got[key], f"{where}[{key!r}]")
    elif wanted != got:
        yield f"{where} is {got!r}, not {wanted!r}"
