"""`python -m runbook.demo`: the service first, then the upkeep; with `--verify`, all of verify.yml instead."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from runbook.demo.service import show_service
from runbook.demo.telling import say
from runbook.demo.upkeep import show_upkeep
from runbook.demo.verification import show_verification
from runbook.demo_folder import fresh, make_experiment
from runbook.errors import Invalid


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default="demo", show_default=True, help="Where to make it.")
@click.option("--prepare-only", type=click.Path(path_type=Path), help="Only make the experiment folder, here.")
@click.option("--verify", is_flag=True, help="Play verify.yml on a real service instead: each part once (a minute).")
def main(folder: Path, prepare_only: Path | None, verify: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Operate a real service for a day: look after it, roll its model back; then the upkeep in every mode."""
    signal.signal(signal.SIGTERM, _ended)
    try:
        with fresh(prepare_only or folder) as root:
            if prepare_only:
                make_experiment(root)
                return
            (root / "reports").mkdir()
            if verify:
                show_verification(root)
            else:
                show_service(root)
                show_upkeep(root)
            say(f"All as promised. The folder stays for you to look at: {root}")
    except Invalid as refused:
        raise click.ClickException(str(refused)) from None


def _ended(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that no process is left behind."""
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
