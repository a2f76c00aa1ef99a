"""The one way in which an error message says "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Give the candidate that the word was most likely meant to be, or None if there is none near enough."""
    from difflib import get_close_matches

    exact = {candidate.casefold(): candidate for candidate in candidates}
    close = get_close_matches(word.casefold(), exact, n=1, cutoff=0.66)
    return exact[close[0]] if close else None


def suggest(word: str, candidates: Iterable[str]) -> str | None:
    """Give `did you mean 'x'?`, or None if no candidate is near enough."""
    near = nearest(word, candidates)
    return f"did you mean '{near}'?" if near is not None else None
