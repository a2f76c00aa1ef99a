"""Which steps `--tags` and `--skip-tags` choose, by Ansible's rules for always, never, all, tagged, untagged."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from runbook.errors import Invalid
from runbook.suggest import suggest
from runbook.value import frozen

SPECIAL = frozenset({"all", "always", "never", "tagged", "untagged"})


@frozen
class Tags:
    """What was asked for on the command line; `only` empty means `all`."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def choose(self, tags: Collection[str]) -> bool:
        """Say whether a step with these tags (its own and those it inherits) is run."""
        mine = set(tags)
        return self._wanted(mine) and not self._skipped(mine)

    def _wanted(self, mine: set[str]) -> bool:
        only = set(self.only) or {"all"}
        if "always" in mine or mine & only:
            return True
        if "all" in only:
            return "never" not in mine
        if "tagged" in only and mine and "never" not in mine:
            return True
        return "untagged" in only and not mine

    def _skipped(self, mine: set[str]) -> bool:
        skip = set(self.skip)
        if mine & skip:
            return True
        if "all" in skip:
            return "always" not in mine or "always" in skip
        return ("tagged" in skip and bool(mine)) or ("untagged" in skip and not mine)

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raise Invalid for a tag that no step has: a typo that would run nothing must not look like success."""
        names = set(known) | SPECIAL
        for option, asked in (("--tags", self.only), ("--skip-tags", self.skip)):
            for tag in asked:
                if tag not in names:
                    there = ", ".join(sorted(names - SPECIAL)) or "none"
                    raise Invalid(
                        f"{option}: no step has the tag {tag!r}",
                        hint=suggest(tag, names) or f"the tags of this playbook: {there}",
                    )
