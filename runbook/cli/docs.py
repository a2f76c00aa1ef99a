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
