"""What a check cannot know any more: paths and origins that an earlier step's process or request will have changed."""

from __future__ import annotations

from pathlib import Path

PORTS = {"http": 80, "https": 443}


class Doubts:
    """The doubts of one overlay over those of the overlay below; each holds the label of the step it is from."""

    __slots__ = ("_all", "_below", "_origins", "_paths")

    def __init__(self, below: Doubts | None) -> None:
        self._below = below
        self._all: str | None = None
        self._paths: dict[Path, str] = {}
        self._origins: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Say whether this layer holds any; those below are asked by the host below."""
        return bool(self._all or self._paths or self._origins)

    def everything(self, reason: str) -> None:
        self._all = reason

    def path(self, path: Path, reason: str) -> None:
        self._paths[path] = reason

    def origin(self, prefix: str, reason: str) -> None:
        self._origins[prefix] = reason

    def server(self, url: str, reason: str) -> None:
        """Doubt the whole server that a request went to."""
        self._origins[origin_of(url)] = reason

    def latest(self) -> str | None:
        """Give the reason to doubt whatever is read now."""
        return self._all or (self._below.latest() if self._below is not None else None)

    def of_paths(self) -> bool:
        """Say whether any path is in doubt, so that most reads need not ask of theirs."""
        return bool(self._paths) or (self._below is not None and self._below.of_paths())

    def of_path(self, path: Path, *, listing: bool = False, recursive: bool = False) -> str | None:
        """Give the reason to doubt what is at a path; or, for a listing, what is in the folder or below it."""
        for affected, reason in self._paths.items():
            if affected == path or affected in path.parents:
                return reason
            if listing and (path == affected.parent or (recursive and path in affected.parents)):
                return reason
        return self._below.of_path(path, listing=listing, recursive=recursive) if self._below is not None else None

    def of_url(self, url: str) -> str | None:
        """Give the reason to doubt what a server answers."""
        for prefix, reason in self._origins.items():
            if origin_of(prefix) == origin_of(url) and _path_of(url).startswith(_path_of(prefix)):
                return reason
        return self._below.of_url(url) if self._below is not None else None


def origin_of(url: str) -> str:
    """Give `scheme://host:port` of an URL, in lower case and with the port written out."""
    try:
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or PORTS.get(scheme, 0)}"
    except ValueError:
        return url


def _path_of(url: str) -> str:
    rest = url.partition("://")[2]
    return "/" + rest.partition("/")[2]
