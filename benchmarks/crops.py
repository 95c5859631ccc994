"""Does the outline stay when the same frame is cut and lit otherwise?

    python benchmarks/crops.py ../shared/data [--model FILE.onnx] [--json FILE] [--frames 40] [--crops 50]

Held-out phantoms, and stand-ins for tears in real pictures (`evaluation/stand_ins/`), each whole and in random crops
around the tear at random gain (`evaluation/crops.py`). Found: a tenth of the tear's pixels or more are outlined.
Agreement: median Dice between two crops' outlines on the area both show, of pairs of which at least one outlines there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from judging import about, opened, options, told, unseen_lesions
from rich.console import Console
from rich.progress import track
from rich.table import Table
from smartca.engine import Mask, Segmenter, whole
from smartca.evaluation.crops import CropAnswer, agreement, examiner_crop, regained
from smartca.evaluation.evaluate import ask_outline
from smartca.evaluation.real_sources import KEPT_OUT, every, files_of
from smartca.evaluation.stand_ins import stand_in
from smartca.phantom import HELD_OUT_FROM, KINDS, Phantom, isotropic, kind_of
from smartca.pictures.breast_lesions import Lesion
from smartca.pictures.pixels import Grey, to_grey
from smartca.scores.lesions import is_found

Torn = Iterator[tuple[Grey, Mask]]


@dataclass
class Steadiness:
    """Over frames: how often a crop's tear is found, and how alike the outlines are."""

    frames: int = 0
    whole_found: int = 0
    crops: int = 0
    crops_found: int = 0
    crops_of_found: int = 0  # crops of frames whose whole picture is found
    crops_found_of_found: int = 0
    dices: list[float] = field(default_factory=list)

    def add(self, found: bool, crops: list[bool], dices: list[float]) -> None:
        """Count one frame."""
        self.frames += 1
        self.whole_found += found
        self.crops += len(crops)
        self.crops_found += sum(crops)
        self.crops_of_found += len(crops) * found
        self.crops_found_of_found += sum(crops) * found
        self.dices += dices

    def as_report(self) -> dict[str, int | float | None]:
        """Its figures for the JSON; None where there is nothing to divide by."""
        of_found = self.crops_found_of_found / self.crops_of_found if self.crops_of_found else None
        return {
            "frames": self.frames,
            "whole_found": self.whole_found,
            "crops": self.crops,
            "crops_found_share": self.crops_found / self.crops if self.crops else None,
            "crops_found_share_of_found_frames": of_found,
            "agreement_median_dice": float(np.median(self.dices)) if self.dices else None,
            "agreement_pairs": len(self.dices),
        }


def main() -> None:
    """Print the table; write JSON where asked to."""
    asked = options(__doc__)
    asked.add_argument("--frames", type=int, default=40, help="phantoms, and stand-ins")
    asked.add_argument("--crops", type=int, default=50, help="of each")
    told("crops.py", measure, asked.parse_args())


def measure(given: argparse.Namespace) -> None:
    """All that was asked for. Raises ValueError, OSError or RuntimeError."""
    if min(given.frames, given.crops) < 1:
        raise ValueError("--frames and --crops count from 1")
    kinds = {"phantoms": phantoms(), "stand-ins": real_ones(given.data, given.frames)}
    found: dict[str, Steadiness] = {}
    with opened(given) as segmenter:
        for name, torn in kinds.items():
            found[name] = steadiness(segmenter, name, islice(torn, given.frames), given.crops)
    show(found)
    if given.json:
        report = {**about(segmenter), **{name: one.as_report() for name, one in found.items()}}
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def phantoms() -> Torn:
    """A frame of each torn held-out phantom, without its screen."""
    seed = HELD_OUT_FROM
    while True:
        seed += 1
        if kind_of(seed) != KINDS[0]:
            pixels, mask, _ = isotropic(Phantom(seed).frame(40.0), 520)
            if mask.any():
                yield pixels, mask


def real_ones(data: Path, count: int) -> Torn:
    """Stand-ins in about `count` pictures, as many of each source that was kept out."""
    lesions = unseen_lesions(data)
    each = -(-count // len(KEPT_OUT))
    files = [files_of(data, source) for source in KEPT_OUT]  # what is missing is said before the work
    return (torn for some in files for torn in islice(_set_into(some, lesions), each))


def _set_into(files: list[Path], lesions: list[Lesion]) -> Torn:
    step = 1 if len(files) > 1 else 5  # neighbours in a clip are alike
    for number, sample in enumerate(islice(every(files), 0, None, step)):
        picture = np.ascontiguousarray(sample.sector.cut(to_grey(sample.pixels)), np.uint8)
        made = stand_in(picture, number, lesions)
        if made is not None:
            yield made.pixels, made.mask


def steadiness(segmenter: Segmenter, name: str, torn: Torn, crops: int) -> Steadiness:
    """Ask about every frame, whole and in `crops` crops."""
    total, rng = Steadiness(), np.random.default_rng(7)
    for pixels, truth in track(torn, description=name, console=Console(stderr=True)):
        answers, hits = [], []
        for _ in range(crops):
            window = examiner_crop(truth, rng)
            part = regained(np.ascontiguousarray(window.cut(pixels), np.uint8), rng)
            mask = outlined(segmenter, part)
            answers.append(CropAnswer(window, mask))
            hits.append(is_found(mask, np.asarray(window.cut(truth), np.bool_)))
        total.add(is_found(outlined(segmenter, pixels), truth), hits, agreement(answers, truth.shape))
    return total


def outlined(segmenter: Segmenter, pixels: Grey) -> Mask:
    """The mask; empty where there is no result."""
    mask, _ = ask_outline(segmenter, pixels, whole(pixels.shape))
    return np.zeros(pixels.shape, np.bool_) if mask is None else mask


def show(found: dict[str, Steadiness]) -> None:
    """The table for people."""
    table = Table("frames of", "n", "whole: found", "crops: found", "the same, of found frames", "agreement", "pairs")
    for name, one in found.items():
        report = one.as_report()
        share, of_found = (report[f"crops_found_share{end}"] for end in ("", "_of_found_frames"))
        median = report["agreement_median_dice"]
        table.add_row(
            name, str(one.frames), str(one.whole_found), "-" if share is None else f"{share:.1%}",
            "-" if of_found is None else f"{of_found:.1%}", "-" if median is None else f"{median:.2f}",
            str(len(one.dices)),
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
