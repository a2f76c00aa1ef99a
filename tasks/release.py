"""Releases: a model with its settings, packed to the same bytes everywhere, proven, restored and kept for a while."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from runbook.changes import Change, Produce, then
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import folders, refuse_roots
from runbook.host.refusals import shown
from runbook.task import Params, task
from runbook.units import Age, Size

from .archives import build as building
from .archives import keeping, rehearsal, restoring, sums
from .archives.manifest import Manifest, outer
from .archives.unpack import Limits, check, manifest_of

Plan = Generator[Change, None, dict[str, Any]]
MAX_BYTES = "how much it may unpack to; an archive that says it holds more is refused unread"
MAX_FILES = "how many files it may hold"
ABOUT = {
    "sha256": "the archive's SHA-256",
    "files": "the paths of the files in it",
    "model": "the model that is to be served",
    "git": "the SHA of the commit, or null",
    "version": "what `version` said, or null",
    "created": "the time that everything in it bears",
}


class Build(Params):
    """What goes into the release, beside VERSION.txt and MANIFEST.json.

    `config.yaml`, `.env.example`, `requirements.txt`, `export/export_report.json` and the newest
    `reports/metrics*.json` go in where they are there. A model's external data goes with it. Links are followed, and
    what they lead to goes in under its own name, a model only once.
    """

    root: Path = Field(description="the folder of the experiment, with `export/` in it")
    dest: Path | None = Field(None, description="the folder of the releases; `root/releases` without it")
    models: Literal["one", "all"] | tuple[Path, ...] = Field(
        "one",
        description="`one`: what `export/latest.onnx` leads to, else the newest there; `all` of `export/`; or a list of"
        " paths, the one to be served first",
    )
    include: tuple[str, ...] = Field(
        (), description="more files, folders or shell patterns below `root`, as `labels.txt`, `logs/**/*.out`"
    )
    version: str | None = Field(None, description="what the release is called, beside its commit", pattern=r"^[!-~]+$")
    env_files: tuple[Path, ...] = Field((), description="more `.env` files whose secrets must not be in it")
    code: Path | None = Field(
        None, description="the folder whose git commit it is of, and where settings are that `root` lacks"
    )

    @field_validator("models")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value == ():
            raise ValueError("a release is of one model at least; write `one`, `all` or a list of paths")
        return value

    @field_validator("include")
    @classmethod
    def _below(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parts = Path(text).parts
            wild = [part for part in parts[:-1] if set(part) & set("*?[") and part != "**"]
            if not text or ".." in parts or wild or parts.count("**") > 1 or "**" in parts[:-2]:
                raise ValueError(
                    f"{text!r}: write a path below `root`, with wildcards in its last part only, or after `**/`"
                )
        return value


@task(
    returns={
        "path": "the archive",
        **ABOUT,
        "built": "false where there was one of the same content",
        "missing": "what usually goes in, and is not there",
    }
)
def build(want: Build, host: Host) -> Plan:
    """Pack the model with what it needs into `release-<UTC>-<git sha or nogit>.tar.gz`, with its SHA-256 beside it.

    The same content gives the same bytes, whoever builds it, when and where: times inside are `SOURCE_DATE_EPOCH`, else
    the commit's, else the newest content's. Where there is a whole release of the same content nothing is done. A
    `.env`, and any file with a secret that the run or `root/.env` knows, is refused. Beside it stands where it comes
    from: an unsigned in-toto statement with SLSA provenance.
    """
    dest, code = want.dest or want.root / "releases", want.code or want.root
    asked = building.Asked(want.root, code, dest, want.models, want.include, want.version, want.env_files)
    gathered = building.gather(host, asked)
    found = building.built_already(host, gathered, asked.dest)
    if found is not None:
        release, packed = found
        completing = list(building.completing(host, release, packed, asked))
        yield from completing
        said = {"path": str(release.path), **_about(packed.manifest, packed.sha256)}
        return {**said, "built": bool(completing), "missing": gathered.missing}
    changes = list(building.building(host, gathered, asked))
    yield from changes
    archive = next(change for change in changes if isinstance(change, Produce))
    said = {"path": str(archive.path), **_about(gathered.draft, then(archive.outcome, lambda packed: packed.sha256))}
    return {**said, "built": True, "missing": gathered.missing}


def _about(manifest: Manifest, sha256: Any) -> dict[str, Any]:
    return {
        "sha256": sha256,
        "files": [file.path for file in manifest.files],
        "model": manifest.model,
        "git": manifest.git,
        "version": manifest.version,
        "created": manifest.created,
    }


class Verify(Params):
    """Which release, and what it may come to."""

    path: Path = Field(description="the archive; its `.sha256` stands beside it")
    max_bytes: Size = Field(Size.parse("100GB"), description=MAX_BYTES)
    max_files: PositiveInt = Field(10_000, description=MAX_FILES)


@task(kind="probe", free="path", returns={"path": "the archive", **ABOUT, "bytes": "what it unpacks to"})
def verify(want: Verify, host: Host) -> dict[str, Any]:
    """Hold a release to its SHA-256, and every file in it to the manifest; nothing is unpacked.

    It fails for a damaged or renamed archive, a file that is missing, too many or another, a name that leads out of its
    folder, and for a link, a device or anything else that is no regular file.
    """
    manifest, sha256 = _checked(host, want.path, Limits(want.max_bytes, want.max_files))
    return {"path": str(want.path), **_about(manifest, sha256), "bytes": manifest.size}


def _checked(host: Host, path: Path, limits: Limits) -> tuple[Manifest, str]:
    if host.stat(path) is None:
        raise TaskFailed(f"there is no {shown(path)}", hint="the archive is meant: release-<UTC>-<git sha>.tar.gz")
    wanted = sums.wanted(host, host.resolve(path))
    return check(host, path, wanted, limits), wanted


class Restore(Verify):
    """Which release, what it may come to, and where it is unpacked to."""

    dest: Path = Field(description="the folder that it becomes; it is not there yet, or holds this very release")


@task(returns={"path": "the folder", **ABOUT, "model": "the path of the model that is to be served"})
def restore(want: Restore, host: Host) -> Plan:
    """Unpack a release into a folder of its own, all of it or nothing; nothing that is there is ever overwritten.

    It is checked as by `release.verify` before, and once more as it is unpacked. A folder that holds the same files
    already is left alone, with whatever else has come into it.
    """
    if host.stat(want.dest, follow=False) is None:
        limits = Limits(want.max_bytes, want.max_files)
        manifest, sha256 = _checked(host, want.path, limits)
        restoring.refuse_full(host, want.dest, manifest)
        if host.stat(want.dest.parent) is None:
            yield from folders(host, want.dest.parent)
        yield Produce(want.dest, restoring.filler(host, want.path, sha256, limits), folder=True)
    else:
        sha256, manifest = sums.wanted(host, host.resolve(want.path)), manifest_of(host, want.path)
        restoring.refuse_other(host, want.dest, manifest)
    return {"path": str(want.dest), **_about(manifest, sha256), "model": str(want.dest / outer(manifest.model))}


class Prune(Params):
    """Which releases may go: those that fail every rule that is given, one rule at least."""

    directory: Path = Field(description="the folder of the releases")
    keep: PositiveInt | None = Field(None, description="how many of the newest stay, whatever else goes")
    older_than: Age | None = Field(None, description="the age, by the time in the name, from which one may go")
    in_use: tuple[Path, ...] = Field(
        (), description="models in use, as `MODEL_PATH` names them: a release that holds one of them stays"
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.keep is None and self.older_than is None:
            raise ValueError("without a rule every release but the newest would go; write keep, older_than or both")
        return self


@task(returns={"removed": "the archives that went", "kept": "those that stay", "bytes_freed": "in bytes"})
def prune(want: Prune, host: Host) -> Plan:
    """Delete old releases with what stands beside them; never the newest that is complete, nor one in use.

    A release is in use if a link in the folder leads to it, if it has a second name, or if it holds a model that is
    named in `in_use`.
    """
    refuse_roots(host, want.directory)
    going, staying = keeping.chosen(host, want.directory, want.keep, want.older_than, want.in_use)
    gone = list(keeping.removals(host, want.directory, going))
    yield from gone
    return {
        "removed": [str(release.path) for release in going],
        "kept": [str(release.path) for release in staying],
        "bytes_freed": sum(change.was.size for change in gone),
    }


class Rehearse(Params):
    """Which releases to pick from, and where to write what came of it."""

    directory: Path = Field(description="the folder of the releases")
    path: Path | None = Field(None, description="rehearse with this one, and pick none")
    seed: int | None = Field(None, description="picks the same release and input again, as a report of before says it")
    report: Path | None = Field(
        None, description="the JSON report, beside which it is unpacked; `directory/rehearsal.json` without it"
    )
    timeout: PositiveInt = Field(300, description="seconds that loading the model and predicting may take")


@task(
    kind="action",
    extra="onnx",
    returns={
        "path": "the archive",
        "seed": "what picked it",
        "report": "where it is written",
        "result": "what came of it",
    },
)
def rehearse(want: Rehearse, host: Host) -> Plan:
    """Prove that a release can be restored: unpack one at random, compare all hashes, load the model, predict once.

    What was unpacked is removed again. The model is loaded by a process of its own, on the CPU, and is given random
    numbers; what it predicts is not judged.
    """
    seed = want.seed if want.seed is not None else int(f"{host.now:%Y%m%d%H%M%S}")
    path = want.path or rehearsal.picked(host, want.directory, seed)
    sha256 = sums.wanted(host, path)
    report = want.report or want.directory / "rehearsal.json"
    if host.stat(report.parent) is None:
        yield from folders(host, report.parent)
    make = rehearsal.maker(host, path, sha256, seed, want.timeout)
    trial = Produce(report, make, was=host.stat(report))
    yield trial
    return {"path": str(path), "seed": seed, "report": str(report), "result": trial.outcome}
