"""What the plays against the real service share: models are trained once, and copied."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.service import Digits, make_digits


@pytest.fixture(scope="session")
def digits_in(tmp_path_factory):
    """Give a function that puts the models and samples into a folder."""
    source = tmp_path_factory.mktemp("digits").resolve()
    made = make_digits(source)

    def copied(folder: Path) -> Digits:
        shutil.copytree(source, folder, dirs_exist_ok=True)

        def moved(path: Path) -> Path:
            return folder / path.relative_to(source)

        found = {name: moved(getattr(made, name)) for name in ("good", "older", "five", "damaged")}
        return replace(made, **found, samples=tuple(map(moved, made.samples)))

    return copied
