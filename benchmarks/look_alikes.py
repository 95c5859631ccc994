"""What a network makes of simulated tendons that are whole and look torn: the share outlined, look-alike by look-alike.

    python benchmarks/look_alikes.py [--model FILE.onnx] [--point searching] [--recipe other] [--json FILE]

Held-out seeds alone. Every outline is false. Anisotropy is the classic one: fibres oblique to the beam answer weakly.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict

from judging import about, opened, options, told
from rich.console import Console
from rich.progress import track
from rich.table import Table
from smartca.engine import Sector
from smartca.phantom import HELD_OUT_FROM, KINDS, RECIPES, Phantom, kind_of, screen

FRAMES = 4  # of each shoulder


def main() -> None:
    """Print the table; write JSON where asked to."""
    asked = options(__doc__, data=False)
    asked.add_argument("--recipe", choices=RECIPES, default="usual")
    asked.add_argument("--seeds", type=int, default=480, help="of which a third are intact")
    told("look_alikes.py", measure, asked.parse_args())


def measure(given: argparse.Namespace) -> None:
    """All look-alikes. Raises ValueError, OSError or RuntimeError, as the segmenter does."""
    seeds = [seed for seed in range(HELD_OUT_FROM, HELD_OUT_FROM + given.seeds) if kind_of(seed) == KINDS[0]]
    found: dict[str, list[bool]] = defaultdict(list)
    with opened(given) as segmenter:
        for seed in track(seeds, description="intact shoulders", console=Console(stderr=True)):
            phantom = Phantom(seed, recipe=given.recipe)
            for number in range(FRAMES):
                shot = screen(phantom.frame(number * phantom.period / FRAMES))
                mask = segmenter(shot.pixels, Sector(*shot.sector)).mask
                found[phantom.findings.negative].append(mask is not None and bool(mask.any()))
    table = Table("look-alike", "outlined", "share")
    for name, outlined in sorted(found.items()):
        table.add_row(name, f"{sum(outlined)} of {len(outlined)}", f"{sum(outlined) / len(outlined):.1%}")
    Console().print(table)
    if given.json:
        shares = {name: {"outlined": sum(each), "frames": len(each)} for name, each in sorted(found.items())}
        facts = {**about(segmenter), "recipe": given.recipe, "look_alikes": shares}
        given.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
