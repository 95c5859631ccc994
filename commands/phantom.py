"""`smartca phantom`: simulated ultrasound with exact masks."""

from __future__ import annotations

from pathlib import Path

import click

from .options import FILE, fillable, say, writable
from .progress import bar


@click.command()
@click.option("--seed", type=click.IntRange(0), default=90001, show_default=True, help="Picks shoulder, tear, scanner.")
@click.option("--frames", type=click.IntRange(1), default=240, show_default=True, help="240 are one loop of the probe.")
@click.option("--out", type=FILE, required=True, metavar="DIR|FILE.mp4", help="Where frames and masks go.")
def phantom(seed: int, frames: int, out: Path) -> None:
    """Write simulated ultrasound of a shoulder with exact tear masks.

    \b
    DIR        images/ and masks/ as PNG, and split.csv
    FILE.mp4   a cine, its masks and its data beside it
    """
    from ..phantom import kind_of
    from ..stream.sources.cine import write_cine, write_folder

    with bar() as progress:
        task = progress.add_task(f"drawing seed {seed} ({kind_of(seed)})", total=frames)

        def tick(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if out.suffix == ".mp4":
            writable(out, "--out")
            write_cine(out, seed, frames, progress=tick)
        else:
            fillable(out, "--out")
            write_folder(out, seed, frames, progress=tick)
    say(f"{frames} frames of seed {seed} ({kind_of(seed)}) are in {out}")
