"""Archives that are damaged or mean harm: a clear error, nothing outside, nothing left, and little memory."""

import gzip
import io
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runbook.errors import TaskFailed
from runbook.tasks.archives.manifest import unsafe
from runbook.testing import MemoryHost
from tests.releasing import EMPTY_MODEL, archive, built, entry, files_of, host_at, manifest, model, played, sealed

MODEL = entry("export/m.onnx", EMPTY_MODEL)
OTHER = entry("config.yaml", b"lr: 1\n")
NAME = "release-20260310T020000Z-nogit.tar.gz"


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(path: Path, **params) -> str:
    """Verify and restore an archive: both fail, in the same words, and change nothing anywhere near."""
    around = path.parent
    before = tree(around)
    with pytest.raises(TaskFailed) as verified:
        played("release.verify", host_at(around), path=path, **params)
    with pytest.raises(TaskFailed) as restored:
        played("release.restore", host_at(around), path=path, dest=around / "deep/dest", **params)
    assert restored.value.message == verified.value.message
    assert tree(around) == before
    assert verified.value.message.isprintable()
    return verified.value.message


UNSAFE = [
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "a/./b",
    "a//b",
    "export/",
    "..",
    ".",
    "",
    "a\\b",
    "x" * 300,
    "a/" * 2500 + "a",
]


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: repr(name)[:20])
def test_a_name_that_leads_out_or_is_odd(tmp_path, name):
    members = [MODEL, entry("safe", b"x")]
    files = files_of(members)
    files[1]["path"] = name
    said = refused(archive(tmp_path / NAME, members, manifest(files)))
    assert "its manifest names" in said
    assert "nothing is extracted" in said


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "export/../../evil", "other"])
def test_a_member_that_the_manifest_does_not_name(tmp_path, name):
    said = refused(archive(tmp_path / NAME, [MODEL, entry(name, b"x")], manifest(files_of([MODEL]))))
    assert "and its manifest does not name it; nothing is extracted" in said


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (tarfile.CONTTYPE, "of the unknown kind b'7'"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (tarfile.GNUTYPE_LONGNAME, "of the unknown kind b'L'"),
        (tarfile.XGLTYPE, "of the unknown kind b'g'"),
    ],
)
def test_what_is_no_regular_file(tmp_path, kind, words):
    evil = entry("config.yaml", kind=kind, linkname="/etc/passwd")
    said = refused(archive(tmp_path / NAME, [MODEL, evil], manifest(files_of([MODEL, OTHER]))))
    assert f"{NAME} cannot be unpacked: it holds config.yaml, {words}; nothing is extracted" in said


def test_a_link_that_the_next_member_goes_through(tmp_path):
    members = [MODEL, entry("out", kind=tarfile.SYMTYPE, linkname=str(tmp_path)), entry("out/evil", b"x")]
    assert "a symbolic link" in refused(archive(tmp_path / NAME, members, manifest(files_of([MODEL, members[2]]))))


def test_a_file_that_is_a_folder_too(tmp_path):
    members = [MODEL, entry("a", b"x"), entry("a/b", b"x")]
    assert "names a as a file, and as the folder of another" in refused(archive(tmp_path / NAME, members))


def test_the_same_name_twice(tmp_path):
    assert "config.yaml twice" in refused(archive(tmp_path / NAME, [MODEL, OTHER, OTHER]))
    about = manifest(files_of([MODEL, OTHER]))
    assert "holds config.yaml, twice" in refused(archive(tmp_path / NAME, [MODEL, OTHER, OTHER], about))
    about = manifest([*files_of([MODEL]), {"path": "MANIFEST.json", "size": 1, "sha256": "0" * 64}])
    assert "MANIFEST.json twice" in refused(archive(tmp_path / NAME, [MODEL], about))


def test_what_is_missing_and_what_is_another_are_all_told(tmp_path):
    files = files_of([MODEL, OTHER, entry("gone", b"x")])
    files[1]["sha256"] = "0" * 64
    said = refused(archive(tmp_path / NAME, [MODEL, OTHER], manifest(files)))
    assert "config.yaml has another SHA-256; gone is missing" in said
    files = files_of([MODEL, OTHER])
    files[1]["size"] = 7
    assert "config.yaml has 6 bytes, and 7 by its manifest" in refused(
        archive(tmp_path / NAME, [MODEL, OTHER], manifest(files))
    )


FILES = files_of([MODEL])
MANIFESTS = {
    "no JSON": b"{",
    "a list": b"[1]",
    "a text": b'"x"',
    "deep": b"[" * 100_000,
    "another schema": manifest(FILES, schema="x/9"),
    "no files": manifest(FILES, files=None),
    "no model": manifest(FILES, model=None),
    "a model that is not in it": manifest(FILES, model="other"),
    "a number for a path": manifest([{**FILES[0], "path": 7}], model="m"),
    "a negative size": manifest([{**FILES[0], "size": -1}]),
    "a size that is true": manifest([{**FILES[0], "size": True}]),
    "no hash": manifest([{**FILES[0], "sha256": "x"}]),
    "a number for git": manifest(FILES, git=0),
    "no UTF-8": b"\xff\xfe{}",
}


@pytest.mark.parametrize("about", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_cannot_be_read(tmp_path, about):
    said = refused(archive(tmp_path / NAME, [MODEL], about))
    assert "manifest" in said or "its model" in said


def test_no_manifest_where_it_belongs(tmp_path):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(MODEL[0], io.BytesIO(MODEL[1]))
    for data in (plain.getvalue(), b"", bytes(10240), b"\0" * 512):
        said = refused(sealed(tmp_path / NAME, gzip.compress(data)))
        assert f"{NAME} is no release: " in said


@pytest.mark.parametrize("data", [b"", b"no gzip at all", gzip.compress(b"x" * 5000)[:-30], b"\x1f\x8b\x08\0"])
def test_what_is_no_archive(tmp_path, data):
    assert f"{NAME} is no release" in refused(sealed(tmp_path / NAME, data))


def test_something_after_the_end(tmp_path):
    path = archive(tmp_path / NAME, [MODEL])
    data = path.read_bytes()
    for more in (gzip.compress(bytes(20_000)), gzip.compress(b"x"), b"garbage"):
        assert "cannot be unpacked: " in refused(sealed(path, data + more))


def bomb(path: Path, size: int, about: bytes) -> Path:
    """Write an archive whose last member holds many zeros."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, 0) as out:
        head, _ = entry("MANIFEST.json", about)
        out.write(head.tobuf() + about + bytes(-len(about) % 512))
        info, _ = entry("export/m.onnx")
        info.size = size
        out.write(info.tobuf())
        for _ in range(size // 2**20):
            out.write(bytes(2**20))
        out.write(bytes(1024))
    return sealed(path, path.read_bytes())


def test_bombs_are_refused_before_they_are_unpacked_and_take_no_memory(tmp_path):
    mine = {"path": "export/m.onnx", "sha256": "0" * 64}
    honest = bomb(tmp_path / NAME, 2**28, manifest([{**mine, "size": 2**28}]))
    lying = bomb(tmp_path / "release-20260311T020000Z-nogit.tar.gz", 2**28, manifest([{**mine, "size": 10}]))
    assert honest.stat().st_size < 2**21
    tracemalloc.start()
    assert "would unpack to 268MB, more than 100MB" in refused(honest, max_bytes="100MB")
    assert "has 268435456 bytes, and 10 by its manifest" in refused(lying)
    assert "has another SHA-256" in refused(honest)
    assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    tracemalloc.stop()
    many = [MODEL, *(entry(f"f{number}", b"") for number in range(200))]
    assert "holds 201 files, more than 100" in refused(archive(tmp_path / NAME, many), max_files=100)


@pytest.mark.parametrize(
    "block",
    [
        entry("PaxHeader", b"", tarfile.XHDTYPE, size=2**40)[0].tobuf(),
        entry("PaxHeader", b"", tarfile.XHDTYPE)[0].tobuf(),
        entry("x", b"99 path=x\n", tarfile.XHDTYPE)[0].tobuf() + b"99 path=x\n".ljust(512, b"\0"),
        entry("x", b"5 a=\n", tarfile.XHDTYPE)[0].tobuf() + b"0 path=".ljust(512, b"\0"),
        entry("x", b"22 GNU.sparse.major=1\n", tarfile.XHDTYPE)[0].tobuf()
        + b"22 GNU.sparse.major=1\n".ljust(512, b"\0"),
        entry("x", b"11 size=-9\n", tarfile.XHDTYPE)[0].tobuf()
        + b"11 size=-9\n".ljust(512, b"\0")
        + entry("config.yaml")[0].tobuf(),
        b"\xff" * 512,
    ],
    ids=["huge", "empty", "too long", "no length", "sparse", "negative", "garbage"],
)
def test_headers_that_lie(tmp_path, block):
    about = manifest(files_of([MODEL]))
    head = entry("MANIFEST.json", about)[0].tobuf() + about + bytes(-len(about) % 512)
    refused(sealed(tmp_path / NAME, gzip.compress(head + block + bytes(1024))))


def test_each_of_a_thousand_flipped_bytes_is_found(tmp_path):
    model(tmp_path / "export/m.onnx", size=4)
    path = built(tmp_path)
    data, chance = path.read_bytes(), random.Random(4)
    host = host_at(tmp_path)
    for _ in range(1000):
        at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        with pytest.raises(TaskFailed, match="is damaged, or another: its SHA-256 is"):
            played("release.verify", host, path=path)
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(TaskFailed, match="is damaged, or another"):
            played("release.verify", host, path=path)


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    edits=st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=40)), min_size=1, max_size=6),
    packed=st.booleans(),
)
@example(edits=[(0, b"")], packed=False)
def test_whatever_is_in_an_archive_only_one_kind_of_error_comes_of_it(tmp_path, edits, packed):
    """Bytes exchanged at random, in the gzip or in the tar within, and the SHA-256 made to fit."""
    path = archive(tmp_path / NAME, [MODEL, OTHER])
    data = bytearray(path.read_bytes() if packed else gzip.decompress(path.read_bytes()))
    for at, piece in edits:
        data[at % len(data) : at % len(data) + len(piece)] = piece
    sealed(path, bytes(data) if packed else gzip.compress(bytes(data)))
    try:
        played("release.restore", host_at(tmp_path), path=path, dest=tmp_path / "dest")
    except TaskFailed:
        assert not (tmp_path / "dest").exists()
    else:
        for name, content in ((MODEL[0].name, MODEL[1]), (OTHER[0].name, OTHER[1])):
            target = tmp_path / "dest" / name
            assert target.read_bytes() == content
            target.unlink()
        (tmp_path / "dest/export").rmdir()
        (tmp_path / "dest").rmdir()
    assert sorted(each.name for each in tmp_path.iterdir()) == [NAME, f"{NAME}.sha256"]


@settings(derandomize=True, database=None)
@given(st.text("ab/.\\\0\n ~é\udce9", max_size=12))
def test_a_name_that_is_not_refused_stays_in_its_folder(name):
    if not unsafe(name):
        assert Path("/a/b", name).resolve().is_relative_to("/a/b")
        assert str(Path(name)) == name


def test_in_memory_too():
    host = MemoryHost()
    with pytest.raises(TaskFailed, match="there is no"):
        played("release.verify", host, path="/r/a.tar.gz")
