"""The whole of what operates a service, tried once on a real one: verify.yml, with small budgets."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import click

from runbook.demo.service import prepare, serving
from runbook.demo.telling import play, say

# Of each digit; with 200 samples in all, those that judge an INT8 model are not those that it is calibrated with.
EACH = 20


def show_verification(root: Path) -> None:
    """Serve a model that was trained here, and play verify.yml; raise ClickException unless all of it holds."""
    from runbook.service.digits import write_samples

    experiment, _, newer, sample, env_file = prepare(root)
    write_samples(experiment / "val", each=EACH, by_label=True)
    with serving(root, env_file, experiment / "logs/api.log") as url:
        outside = url.replace("127.0.0.1", "localhost")
        say(f"The service runs at {url} with the better one.")
        say(f"There is no tunnel here: {outside} stands for its public address.")
        say("No job is installed by a demo: verify.yml says which one lacks, and goes on (jobs_required=false).")
        say("So small a network may lose a little to INT8, and gains nothing: 2 points are allowed (max_drop=2).")
        given = {
            "exp_dir": experiment,
            "env_file": env_file,
            "api_url": url,
            "external_url": outside,
            "val_images": experiment / "val",
            "sample": sample,
            "budget": "10s",
            "max_drop": 2,
            "jobs_required": "false",
            "tunnel_log": experiment / "logs/api.log",
        }
        words = ["verify.yml", *(word for name, value in given.items() for word in ("-e", f"{name}={value}"))]
        report = play(root, "verify", words, "Every part once, each with its condition.")
        with urllib.request.urlopen(f"{url}/version") as answer:  # noqa: S310 - its own service, on loopback
            served = json.load(answer)["model_path"]
    if served != str(newer) or report["summary"]["failed"]:
        raise click.ClickException(f"{report['summary']['failed']} steps failed; the service serves {served}")
    say("All parts hold, and the service serves what it served before.")
