"""`runbook inventory`: the hosts there are, in which groups, with which variables."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("inventory")
@click.argument("pattern", default="all")
@click.option("-i", "--inventory", metavar="FILE", envvar="RUNBOOK_INVENTORY", help="The inventory: a file or folder.")
@click.option("--vars", "show_vars", is_flag=True, help="Show each host's variables, with where they were written.")
def command(pattern: str, inventory: str | None, *, show_vars: bool) -> None:
    """Show the hosts that PATTERN chooses, as a play's `hosts:` would."""
    from runbook.cli.session import inventory_path
    from runbook.hosts import load_inventory

    path = inventory_path(inventory)
    loaded = load_inventory(path, Path.cwd())
    click.echo(f"{path}")
    for name in loaded.select(pattern if loaded.groups.get("all") or pattern != "all" else "localhost"):
        groups = ", ".join(loaded.group_names(name))
        click.echo(f"  {name}" + (f"  ({groups})" if groups else ""))
        if not show_vars:
            continue
        effective = {key: found for _, values in loaded.layers(name) for key, found in values.items()}
        for key, (value, where) in sorted(effective.items()):
            click.echo(f"    {key}: {value!r}  # {where}")
