import pytest

from runbook.suggest import nearest, suggest


@pytest.mark.parametrize(
    ("word", "found"),
    [("wehn", "when"), ("Regsiter", "register"), ("tags", "tags"), ("xyzzy", None), ("", None)],
)
def test_the_nearest_candidate_is_named_if_it_is_near(word, found):
    candidates = ["when", "register", "tags"]
    assert nearest(word, candidates) == found
    assert suggest(word, candidates) == (f"did you mean '{found}'?" if found else None)


def test_the_candidate_is_named_as_it_is_written():
    assert suggest("WEB1", ["Web1"]) == "did you mean 'Web1'?"
