"""Does the simulated shoulder look like real torn cuffs? Both columns of sixteen numbers, side by side.

    python benchmarks/phantom_appearance.py [--seeds 480] [--recipe usual] [--json FILE]

The real pictures (a private set of 74, cut to about 2:1 around the tendon) cannot be shared; their quantiles stand in
scores/appearance.py. The phantom's pictures are cut the same way and shown at the same 599 pixels.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from smartca.phantom import RECIPES, Close, Phantom, isotropic, kind_of
from smartca.scores.appearance import REAL, Appearance, appearance, beside_real, table

LONGEST = 599
CUT = Close(aspect=(1.95, 2.05), share=(0.75, 1.0))
LEAST = 150  # pixels: a tear that the probe has all but left
WITHIN = 0.15  # of the real median


def one(seed: int, recipe: str) -> Appearance | None:
    """The numbers of one phantom's frame 20; None where no tear is to be seen."""
    if kind_of(seed) == "intact":
        return None
    phantom = Phantom(seed, rows=300, columns=480, recipe=recipe, close=CUT)
    pixels, mask, _ = isotropic(phantom.frame(20), LONGEST)
    return appearance(pixels, mask) if mask.sum() >= LEAST else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=480)
    parser.add_argument("--recipe", choices=RECIPES, default="usual")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with ProcessPoolExecutor(2) as pool:
        found = [row for row in pool.map(partial(one, recipe=asked.recipe), range(asked.seeds), chunksize=8) if row]
    quantiles = table(found)
    shown = Table("5 / 25 / 50 / 75 / 95 %", "phantom", "real", "median", "quartiles")
    for name, ours, real in beside_real(quantiles):
        middle, goal = quantiles[name][2], REAL[name][2]
        apart = middle / goal - 1
        overlap = quantiles[name][1] <= REAL[name][3] and quantiles[name][3] >= REAL[name][1]
        note = f"{100 * apart:+.0f} %" + ("" if abs(apart) <= WITHIN else " !")
        shown.add_row(name, ours, real, note, "overlap" if overlap else "apart !")
    console = Console(width=140)
    console.print(shown)
    console.print(f"{len(found)} torn pictures of {asked.seeds} seeds, recipe {asked.recipe}")
    if asked.json:
        rounded = {name: [round(float(np.float64(q)), 3) for q in row] for name, row in quantiles.items()}
        facts = {"recipe": asked.recipe, "pictures": len(found), "phantom": rounded}
        asked.json.write_text(json.dumps(facts | {"real": {k: list(v) for k, v in REAL.items()}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
