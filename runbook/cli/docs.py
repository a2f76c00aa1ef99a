"""`runbook docs`: the pages that are written out of the code, and the check that they are in step."""

from __future__ import annotations

from pathlib import Path

import click

from runbook.errors import RunbookError


@click.group("docs")
def command() -> None:
    """Write or check the generated pages."""


@command.command("tasks")
@click.option("--check", is_flag=True, help="Write nothing; fail if a page is not what it would be.")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), default=Path("docs/tasks"), show_default=True, help="Where."
)
def tasks(folder: Path, *, check: bool) -> None:
    """Write a page for each shipped task, and the list of them."""
    pages = task_pages(Path("tests/tasks"))
    stale = sorted(
        {str(folder / name) for name, text in pages.items() if _read(folder / name) != text}
        | {str(path) for path in folder.glob("*.md") if path.name not in pages}
    )
    if check:
        if stale:
            raise RunbookError(f"not in step with the code: {', '.join(stale)}", hint="run `make docs`")
        click.echo(f"{len(pages)} pages in {folder} are in step with the code")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    click.echo(f"{len(stale)} of {len(pages)} pages written in {folder}")


@command.command("sync")
@click.option("--check", is_flag=True, help="Write nothing; fail if a block is not what it would be.")
@click.option(
    "--docs", type=click.Path(path_type=Path), default=Path("docs"), show_default=True, help="The folder of the pages."
)
def sync(docs: Path, *, check: bool) -> None:
    """Fill the blocks of Markdown pages with what the playbooks say.

    A block begins with the line `<!-- runbook: NAME.yml -->` and ends with `<!-- /runbook -->`. NAME is looked up in
    ./playbooks, then among the shipped ones; after it may stand which parts: about, inputs, procedure, yaml.
    """
    from runbook.cli.blocks import filled, filler, pages, replace

    if not docs.is_dir():
        raise RunbookError(f"there is no folder {docs}", hint="go to the project's root, or name the folder by --docs")
    fill = filler(Path.cwd())
    made = {path: filled(str(path), read_page(path), fill) for path in pages(docs)}  # all of them, or none
    stale = [each for page in made.values() for each in page.stale]
    count = sum(page.blocks for page in made.values())
    if check and stale:
        raise RunbookError(
            f"not in step with the playbooks: {', '.join(map(str, stale))}", hint="run `runbook docs sync`"
        )
    for path, page in made.items():
        if page.stale:
            replace(path, page.text)
    click.echo(
        f"{count} blocks in {docs} are in step" if check else f"{len(stale)} of {count} blocks written in {docs}"
    )


def read_page(path: Path) -> str:
    """Read a page with its line ends as they are."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RunbookError(f"cannot read {path}: {error}") from error


def task_pages(cases: Path) -> dict[str, str]:
    """Give each page's text by its file name; a task's example is the first of its test cases."""
    from runbook.cli.taskpage import markdown_page
    from runbook.registry import Registry

    registry = Registry()
    specs = [registry.spec(name) for name in registry.names()]
    pages = {f"{spec.name}.md": markdown_page(spec, _example(cases, spec.name)) for spec in specs}
    rows = [f"| [{s.name}]({s.name}.md) | {s.kind} | {s.doc.partition(chr(10))[0]} |" for s in specs]
    head = [
        "# Tasks",
        "",
        "Written by `make docs` from the tasks themselves.",
        "",
        "| task | kind | |",
        "|---|---|---|",
    ]
    return pages | {"README.md": "\n".join([*head, *rows]) + "\n"}


def _example(cases: Path, task: str) -> str | None:
    """Write the call of a task's first test case as a step: an example that is known to work."""
    import yaml

    files = sorted((cases / (task if "." in task else f"core.{task}")).glob("*.yaml"))
    written = (case for file in files for case in yaml.safe_load_all(file.read_text(encoding="utf-8")))
    case = next((case for case in written if case and case.get("params") and not {"error", "unsure"} & set(case)), None)
    if case is None:
        return None
    params = {name: _as_written(value) for name, value in case["params"].items()}
    text: str = yaml.safe_dump([{task: params}], sort_keys=False, allow_unicode=True, width=110)
    return text


def _as_written(value: object) -> object:
    """Give a param as a user writes it: a case says what a template's file holds, a step names it."""
    return value["path"] if isinstance(value, dict) and set(value) == {"path", "text"} else value


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
