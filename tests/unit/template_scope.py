"""Variables for the tests of templates, in a plain dict."""

from __future__ import annotations

from runbook.errors import TaskFailed, Where
from runbook.templates import MISSING, compile_text

AT = Where("play.yml", 7, 11)


class Vars:
    """A scope over keyword arguments; `files` are what `lookup('file')` finds."""

    def __init__(self, files=None, environ=None, **values):
        self.values = values
        self.files = files or {}
        self.environ = environ or {}

    def get(self, name):
        return self.values.get(name, MISSING)

    def names(self):
        return list(self.values)

    def read_file(self, path):
        if path not in self.files:
            raise TaskFailed(f"there is no file {path}")
        return self.files[path]


def render(text, files=None, environ=None, **values):
    """Render one text with these variables."""
    compiled = compile_text(text, AT)
    return compiled if isinstance(compiled, str) else compiled.render(Vars(files, environ, **values))
