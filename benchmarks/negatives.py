"""False outlines on real healthy tissue, and beside them what is found of tears set into the very same pictures.

    python benchmarks/negatives.py ../shared/data [--model FILE.onnx] [--json FILE] [--pictures DIR]

None of these pictures shows a rotator cuff, let alone a torn one, and none was trained on or chosen by: the Telemed
passive-ROM clip, the Philips Sparq stills and DICOM files, and the PLUS sequence BoneUltrasound_L14. Every outline is
therefore false. A network that outlines nothing at all would pass that, so simulated tears (shapes of phantom seeds
from 90000 on) are set into the same pictures, and pooled Dice is printed in the next column.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from smartca.cli import sentence
from smartca.commands.options import spared, writable
from smartca.engine import SHIPPED_MODEL, Mask, NoPicture, Segmenter, open_segmenter
from smartca.evaluation.samples import Sample, samples
from smartca.phantom import HELD_OUT_FROM, KINDS, Phantom, isotropic, kind_of
from smartca.pictures.composite import composite
from smartca.pictures.filetypes import is_hidden
from smartca.pictures.pixels import to_grey
from smartca.scores.counts import Counts
from smartca.stream.sources import open_source

UNTOUCHED = {
    "Telemed passive ROM clip": ("clips/telemed_gastroc_passive_ROM_01_push_01.mp4",),
    "Philips Sparq stills": ("stills_msk/sparq_*.png",),
    "Philips Sparq DICOM": ("dicom/still_sparq_*.dcm",),
    "BoneUltrasound_L14": ("plus/BoneUltrasound_L14.igs.mha",),
}
COMPOSITES_AT_MOST = 80  # pictures of a source, evenly spread
OUTLINES = 60
TRIES = 3


@dataclass
class Found:
    """What was found in one source's pictures, and in composites made of them."""

    pictures: int = 0
    outlined: int = 0
    no_result: int = 0
    composites: Counts = field(default_factory=Counts)
    set_in: int = 0
    missed: int = 0  # composites whose tear no outline touches
    examples: list[NDArray[np.uint8]] = field(default_factory=list)

    def as_report(self) -> dict[str, float | int | None]:
        """One source's figures for the JSON."""
        return {
            "pictures": self.pictures,
            "outlined": self.outlined,
            "outlined_share": round(self.outlined / max(self.pictures, 1), 4),
            "no_result": self.no_result,
            "composites": self.set_in,
            "composite_dice": self.composites.dice_pooled,
            "composite_precision": self.composites.precision,
            "composite_recall": self.composites.recall,
            "composites_missed": self.missed,
        }


def main() -> None:
    """Print the table; write JSON and pictures where asked to."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("data", type=Path, help="the folder that holds clips/, stills_msk/, dicom/, plus/")
    asked.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    asked.add_argument("--precision", default="auto")
    asked.add_argument("--json", type=Path)
    asked.add_argument("--pictures", type=Path, help="write some composites with outline and truth here")
    asked.add_argument("--pattern", action="append", help="other pictures instead, relative to data")
    given = asked.parse_args()
    try:
        measure(given)
    except click.ClickException as error:
        raise SystemExit(f"negatives.py: {error.message}") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise SystemExit(f"negatives.py: {sentence(error)}") from None


def measure(given: argparse.Namespace) -> None:
    """All that was asked for. Raises ValueError, OSError or RuntimeError, what can be known early before the work."""
    writable(given.json, "--json")
    spared(given.json, "--json", given.model)
    sources = {p: (p,) for p in given.pattern} if given.pattern else UNTOUCHED
    files = {name: matching(given.data, patterns) for name, patterns in sources.items()}
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
    found: dict[str, Found] = {}
    with open_segmenter(given.model, precision=given.precision) as segmenter:
        outlines = tear_shapes(OUTLINES)
        for name in sources:
            found[name] = look(segmenter, name, files[name], outlines)
    show(found)
    report = {"model_sha256": segmenter.runner.info.model_sha256, **{name: f.as_report() for name, f in found.items()}}
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if given.pictures:
        for name, one in found.items():
            if one.examples:
                cv2.imwrite(
                    str(given.pictures / f"{name.replace(' ', '_').replace('/', '_')}.png"), sheet(one.examples)
                )


def matching(data: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The files that fit. Raises ValueError where there is none, or one that cannot be opened."""
    outside = [pattern for pattern in patterns if not pattern or Path(pattern).is_absolute()]
    if outside:
        raise ValueError(f"the pattern '{outside[0]}' is not relative to {data}; give one like clips/*.mp4")
    found = (file for pattern in patterns for file in sorted(data.glob(pattern)))
    files = [file for file in found if file.is_file() and not is_hidden(Path(file.name))]
    if not files:
        raise ValueError(f"{data} holds no file {patterns[0]}; give the folder with clips/ and stills_msk/")
    for file in files:
        open_source(str(file)).close()
    return files


def tear_shapes(count: int) -> list[Mask]:
    """Masks of tears of held-out phantoms, none of which lent a shape to training."""
    shapes: list[Mask] = []
    seed = HELD_OUT_FROM + 100
    while len(shapes) < count:
        if kind_of(seed) != KINDS[0]:
            mask = isotropic(Phantom(seed).frame(60.0), 400)[1]
            if mask.any():
                shapes.append(mask)
        seed += 1
    return shapes


def every(files: list[Path]) -> Iterator[Sample]:
    """All pictures of all files, each with its sector."""
    for file in files:
        yield from samples(str(file), "test", None).each


def look(segmenter: Segmenter, name: str, files: list[Path], outlines: list[Mask]) -> Found:
    """Outline every picture as it is, and evenly spread ones again with a tear set in."""
    found, kept = Found(), []
    for sample in track(every(files), description=name, console=Console(stderr=True)):
        mask = outlined(segmenter, sample)
        found.pictures += 1
        found.no_result += mask is None
        found.outlined += mask is not None and bool(mask.any())
        kept.append(sample)
    rng = np.random.default_rng(20)
    for sample in kept[:: max(1, -(-len(kept) // COMPOSITES_AT_MOST))]:
        for _ in range(TRIES):
            pixels = to_grey(sample.pixels).copy()
            truth = np.zeros(pixels.shape, np.bool_)
            made, inside = composite(np.array(sample.sector.cut(pixels)), outlines[int(rng.integers(OUTLINES))], rng)
            if not inside.any():
                continue
            sample.sector.cut(pixels)[...] = made
            sample.sector.cut(truth)[...] = inside
            mask = outlined(segmenter, Sample(pixels, sample.sector, truth))
            mask = np.zeros_like(truth) if mask is None else mask
            found.composites.add(mask, truth)
            found.set_in += 1
            found.missed += not (mask & truth).any()
            if len(found.examples) < 12:
                found.examples.append(drawn(pixels, mask, truth, sample))
            break
    return found


def outlined(segmenter: Segmenter, sample: Sample) -> Mask | None:
    """The mask, or None where there is no result."""
    try:
        return segmenter(sample.pixels, sample.sector).mask
    except NoPicture:
        return None


def drawn(pixels: NDArray[np.uint8], mask: Mask, truth: Mask, sample: Sample) -> NDArray[np.uint8]:
    """The sector with the truth in cyan and the outline in amber, 320 x 240."""
    image = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    for part, colour in ((truth, (255, 255, 0)), (mask, (0, 190, 255))):
        contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, colour, 2)
    inside = np.ascontiguousarray(sample.sector.cut(image), np.uint8)
    return np.asarray(cv2.resize(inside, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)


def sheet(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Tiles four in a row."""
    while len(tiles) % 4:
        tiles.append(np.zeros_like(tiles[0]))
    return np.vstack([np.hstack(tiles[n : n + 4]) for n in range(0, len(tiles), 4)])


def show(found: dict[str, Found]) -> None:
    """The table for people."""
    table = Table("source", "pictures", "outlined", "no result", "composites", "Dice", "precision", "recall", "missed")
    for name, one in found.items():
        counts = one.composites
        scores = [f"{v:.3f}" if v is not None else "-" for v in (counts.dice_pooled, counts.precision, counts.recall)]
        share = f"{one.outlined} ({one.outlined / max(one.pictures, 1):.1%})"
        table.add_row(name, str(one.pictures), share, str(one.no_result), str(one.set_in), *scores, f"{one.missed}")
    Console().print(table)


if __name__ == "__main__":
    main()
