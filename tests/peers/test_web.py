"""`uri` and `get_url` ask a real server as ansible-core's modules do, and register the same of its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.doing import do
from tests.peers.peer import Modules, modules, needs_ansible, sliced
from tests.peers.web import FILES, serving

pytestmark = needs_ansible
SHA = hashlib.sha256(FILES["/files/a.txt"]).hexdigest()
# Registered there and not here: the params that it was called with, and of files what the owner is called.
NEVER = {"invocation", "diff", "owner", "group", "src", "md5sum", "warnings", "deprecations", "exception", "body"}
MOVING = {"date", "elapsed", "mtime"}


@pytest.fixture(scope="module")
def peer() -> Iterator[Modules]:
    with modules() as running:
        yield running


URIS: list[dict[str, Any]] = [
    {"url": "/json"},
    {"url": "/json", "return_content": True},
    {"url": "/notjson", "return_content": True},
    {"url": "/latin", "return_content": True},
    {"url": "/cookies"},
    {"url": "/status/404"},
    {"url": "/status/404", "status_code": [200, 404]},
    {"url": "/status/500", "return_content": True},
    {"url": "/status/204", "status_code": 204},
    {"url": "/json", "method": "head"},
    {"url": "/to?/json"},
    {"url": "/to?/json", "follow_redirects": "none", "status_code": 302},
    {"url": "/to?/json", "method": "OPTIONS", "status_code": 302},
    {"url": "/to?/json", "method": "OPTIONS", "follow_redirects": "all", "status_code": [200, 302]},
    {"url": "/auth", "url_username": "u", "url_password": "pw123456"},
    {"url": "/auth", "url_username": "u", "url_password": "wrong", "force_basic_auth": True},
    {"url": "/echo", "headers": {"X-Key": "k"}, "return_content": True},
    {"url": "/echo", "force": True},
]


@pytest.mark.parametrize("args", sliced(URIS, 4), ids=str)
def test_uri_that_reads(peer: Modules, args: dict[str, Any]) -> None:
    with serving() as (url, sent):
        asked = {**args, "url": url + args["url"]}
        theirs = peer.run("uri", **asked)
        there = [_request(each) for each in sent if each["headers"].get("authorization") or "auth" not in each["path"]]
        sent.clear()
        ours = do("uri", **asked)
        assert _told(ours, theirs) == _told(theirs, theirs)
        assert [_request(each) for each in sent] == there


def _request(sent: dict[str, Any]) -> dict[str, Any]:
    """Give a request without the type that urllib gives an empty body."""
    return sent


BODIES: list[dict[str, Any]] = [
    {"body": "text"},
    {"body": {"a": [1, None, True]}, "body_format": "json"},
    {"body": '{"a": 1}', "body_format": "json"},
    {"body": {"a": "x y", "b": [1, 2], "c": None}, "body_format": "form-urlencoded"},
    {"body": [["a", "1"], ["a", ["2", "3"]]], "body_format": "form-urlencoded"},
    {"body": "a=1", "body_format": "form-urlencoded"},
    {"body": {"a": 1}, "body_format": "json", "headers": {"Content-Type": "application/vnd.api+json"}},
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("args", sliced(BODIES, 3), ids=str)
def test_uri_that_sends(peer: Modules, args: dict[str, Any], method: str) -> None:
    with serving() as (url, sent):
        asked = {**args, "url": f"{url}/echo", "method": method, "return_content": True}
        theirs = peer.run("uri", **asked)
        there = [_request(each) for each in sent]
        sent.clear()
        ours = do("uri", **asked)
        assert ours.pop("changed")  # a departure: what is sent to change something is a change
        theirs.pop("changed")
        assert _told(ours, theirs) == _told(theirs, theirs)
        assert [_request(each) for each in sent] == there


def test_uri_that_sends_a_form_of_files(peer: Modules, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\xff\x00")
    body = {
        "f": {"filename": str(tmp_path / "a.bin"), "mime_type": "image/png"},
        "g": {"filename": "x.txt", "content": "hello"},
        "h": "plain",
    }
    with serving() as (url, sent):
        for run in (peer.run, do):
            run("uri", url=f"{url}/echo", method="POST", body=body, body_format="form-multipart")
        parts = [_parts(each) for each in sent]
        assert parts[0] == parts[1]


def _parts(sent: dict[str, Any]) -> list[tuple[Any, ...]]:
    from email.parser import BytesParser

    whole = b"Content-Type: " + sent["headers"]["content-type"].encode() + b"\r\n\r\n" + sent["body"]
    return [
        (part.get_content_type(), part.get_params(header="content-disposition"), part.get_payload(decode=True))
        for part in BytesParser().parsebytes(whole).get_payload()
    ]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("param", ["creates", "removes"])
def test_uri_that_need_not(peer: Modules, param: str, there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "done").touch()
    with serving() as (url, _):
        asked = {"url": f"{url}/json", param: str(tmp_path / "done")}
        theirs = peer.run("uri", **asked)
        ours = do("uri", **asked)
        assert _told(ours, theirs) == _told(theirs, theirs)


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("path", sliced(["/named", "/files/a.txt", "/to?/files/a.txt", "/files/empty"], 4))
def test_uri_to_a_file(peer: Modules, path: str, folder: bool, tmp_path: Path) -> None:
    _both_to_files(peer, "uri", {"url": path}, tmp_path, folder=folder, before=None)


def test_nobody_answers(peer: Modules) -> None:
    with serving() as (url, _):
        pass
    for task, args in (("uri", {}), ("get_url", {"dest": "/nonexistent/x"})):
        theirs, ours = peer.run(task, url=url, **args), do(task, url=url, **args)
        assert (theirs["failed"], theirs.get("status")) == (ours["failed"], ours.get("status"))


DOWNLOADS: list[dict[str, Any]] = [
    {"url": "/files/a.txt"},
    {"url": "/files/model.onnx", "mode": "0600"},
    {"url": "/files/empty"},
    {"url": "/files/a.txt", "checksum": f"sha256:{SHA}"},
    {"url": "/files/a.txt", "checksum": f"sha256:{SHA.upper()}"},
    {"url": "/files/a.txt", "checksum": f"sha256:{'0' * 64}"},
    {"url": "/files/a.txt", "force": True},
    {"url": "/to?/files/a.txt"},
    {"url": "/status/404"},
    {"url": "/named"},
    {"url": "/auth", "url_username": "u", "url_password": "pw123456"},
    {"url": "/echo", "headers": {"X-Key": "k"}},
]
BEFORE = {"none": None, "same": FILES["/files/a.txt"], "other": b"other\n", "longer": b"other text\n"}


@pytest.mark.parametrize("before", sliced([*BEFORE], 2))
@pytest.mark.parametrize("args", sliced(DOWNLOADS, 3), ids=str)
def test_get_url(peer: Modules, args: dict[str, Any], before: str, tmp_path: Path) -> None:
    _both_to_files(peer, "get_url", args, tmp_path, folder=False, before=BEFORE[before])


@pytest.mark.parametrize("args", [DOWNLOADS[0], DOWNLOADS[3], DOWNLOADS[7], DOWNLOADS[9]], ids=str)
def test_get_url_into_a_folder(peer: Modules, args: dict[str, Any], tmp_path: Path) -> None:
    _both_to_files(peer, "get_url", args, tmp_path, folder=True, before=None)


def test_get_url_by_a_file_of_checksums(peer: Modules, tmp_path: Path) -> None:
    from tests.peers import web

    for sums in (f"{SHA}\n", f"{'0' * 64}  b\n{SHA}  ./a.txt\n", f"SHA256 (a.txt) = {SHA}\n", f"{SHA}  b\n"):
        web.SUMS = sums.encode()
        _both_to_files(
            peer,
            "get_url",
            {"url": "/files/a.txt", "checksum": "sha256:URL/sums"},
            tmp_path / sums[:70].replace("/", ""),
            folder=False,
            before=None,
        )


def _both_to_files(
    peer: Modules, task: str, args: dict[str, Any], tmp_path: Path, *, folder: bool, before: bytes | None
) -> None:
    """Do it there and here, each with a folder of its own; the registers and the folders are the same."""
    told, seen = [], []
    with serving() as (url, _):
        for name, run in (("theirs", peer.run), ("ours", do)):
            home = tmp_path / name
            (home / "to").mkdir(parents=True)
            if before is not None:
                (home / "to/file").write_bytes(before)
            dest = home / "to" if folder else home / "to/file"
            asked = {
                name: value.replace("URL", url) if isinstance(value, str) else value for name, value in args.items()
            }
            result = run(task, **{**asked, "url": url + args["url"], "dest": str(dest)})
            told.append(
                {
                    name: str(value).replace(str(home), "") if isinstance(value, str) else value
                    for name, value in result.items()
                }
            )
            seen.append({path.name: (path.read_bytes(), oct(path.stat().st_mode)) for path in (home / "to").iterdir()})
    if told[0].get("status_code") == 304 and "mode" in args:  # a departure: it is given its mode here
        seen[0] = {name: (content, "0o10" + args["mode"]) for name, (content, _) in seen[0].items()}
        told[0] |= {"mode": args["mode"], "changed": True}
    assert seen[1] == seen[0]
    if told[0]["failed"]:
        assert told[1]["failed"], told
    else:
        assert _told(told[1], told[0]) == _told(told[0], told[0])


def _told(result: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in NEVER | MOVING and value is not None}
