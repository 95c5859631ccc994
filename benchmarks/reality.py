"""What a network makes of real tissue: false outlines where nothing is torn, and what it finds of stand-ins for tears.

    python benchmarks/reality.py ../shared/data [--model FILE.onnx] [--json FILE] [--pictures DIR]

None of these pictures shows a rotator cuff, let alone a torn one: every outline on a picture as it is, is false. A
network that outlines nothing at all would pass that. So gaps and other organs' lesions are set into the pictures that
no training saw, by a generator that no training used (`evaluation/stand_ins/`), and beside it by the one that training
does use (`pictures/composite.py`): how far the two columns lie apart is what was learnt by rote.

A tear counts as found where outlines cover a tenth of its pixels or more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from judging import about, opened, options, told, unseen_lesions
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from smartca.engine import Mask, Sector, Segmenter, whole
from smartca.evaluation.evaluate import Scores, ask_outline, on_square
from smartca.evaluation.real_sources import KEPT_OUT, OTHER_ORGANS, PARTLY_SEEN, RealSource, every, files_of
from smartca.evaluation.samples import Sample
from smartca.evaluation.stand_ins import StandIn, stand_in
from smartca.phantom import HELD_OUT_FROM, KINDS, Phantom, isotropic, kind_of
from smartca.pictures.breast_lesions import Lesion
from smartca.pictures.composite import composite
from smartca.pictures.pixels import Grey, to_grey
from smartca.scores.appearance import Appearance, appearance, beside_real, table
from smartca.scores.counts import Counts
from smartca.scores.histograms import Histograms, logit
from smartca.scores.lesions import is_found

COMPOSITES_AT_MOST = 80  # pictures of a source, evenly spread
STAND_INS = 60  # a source of fewer pictures takes several seeds of each
OUTLINES = 60
TRIES = 3


@dataclass
class Composites:
    """What is found of tears set into one source's pictures."""

    scores: Scores = field(default_factory=Scores)
    found: int = 0  # a tenth of the tear or more is outlined
    no_result: int = 0
    hosts_outlined: int = 0  # the same cut at the same gain, without the tear
    any_threshold: Histograms = field(default_factory=Histograms)
    examples: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, segmenter: Segmenter, pixels: NDArray[np.uint8], sector: Sector, truth: Mask) -> Mask:
        """Ask about one composite, and score it; the mask."""
        mask, q = ask_outline(segmenter, pixels, sector)
        self.no_result += mask is None
        mask = np.zeros_like(truth) if mask is None else mask
        self.scores.add(Sample(pixels, sector, truth), mask, q)
        self.found += is_found(mask, truth)
        if q is not None:
            inner, marked = on_square(q, truth, sector)
            self.any_threshold.add(logit(inner), marked)
        if len(self.examples) < 12:
            self.examples.append(drawn(pixels, mask, truth, sector))
        return mask

    def as_report(self) -> dict[str, object]:
        """Its figures for the JSON; None where there is nothing to divide by."""
        counts, many = self.scores.counts, self.scores.pictures
        best = self.any_threshold.best() if many else None
        return {
            "composites": many,
            "found": self.found,
            "found_share": round(self.found / many, 4) if many else None,
            "dice": counts.dice_pooled,
            "precision": counts.precision,
            "recall": counts.recall,
            "dice_at_any_threshold": best.dice if best else None,
            "no_result": self.no_result,
            "hosts_outlined": self.hosts_outlined,
            **self.scores.calibration.as_report(),
        }


@dataclass
class Found:
    """What was found in one source's pictures, and in composites made of them by either generator."""

    seen: str = ""
    pictures: int = 0
    outlined: int = 0
    no_result: int = 0
    stand_ins: Composites = field(default_factory=Composites)
    familiar: Composites = field(default_factory=Composites)

    def as_report(self) -> dict[str, object]:
        """One source's figures for the JSON."""
        report: dict[str, object] = {
            "seen": self.seen,
            "pictures": self.pictures,
            "outlined": self.outlined,
            "outlined_share": round(self.outlined / max(self.pictures, 1), 4),
            "no_result": self.no_result,
        }
        for name, made in (("stand_ins", self.stand_ins), ("familiar", self.familiar)):
            if made.scores.pictures:
                report[name] = made.as_report()
        return report


def main() -> None:
    """Print the tables; write JSON and pictures where asked to."""
    asked = options(__doc__)
    asked.add_argument("--pictures", type=Path, help="write some composites with outline and truth here")
    asked.add_argument("--pattern", action="append", help="other pictures instead, relative to data")
    told("reality.py", measure, asked.parse_args())


def measure(given: argparse.Namespace) -> None:
    """All that was asked for. Raises ValueError, OSError or RuntimeError, what can be known early before the work."""
    hosts = [RealSource(pattern, pattern) for pattern in given.pattern] if given.pattern else list(KEPT_OUT)
    others = [] if given.pattern else [*PARTLY_SEEN, *OTHER_ORGANS]
    files = {source: files_of(given.data, source) for source in (*hosts, *others)}
    lesions = unseen_lesions(given.data)
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
    found: dict[str, Found] = {}
    looks: list[Appearance] = []
    with opened(given) as segmenter:
        outlines = tear_shapes(OUTLINES)
        for source in files:
            found[source.name], kept = look(segmenter, source, files[source], source in hosts)
            looks += judge(segmenter, found[source.name], kept, lesions, outlines)
    show(found)
    if looks:
        show_looks(looks)
    if given.json:
        report = {**about(segmenter), "lesions": len(lesions), "sources": {n: f.as_report() for n, f in found.items()}}
        report["stand_ins_together"] = together(found)
        report["appearance"] = table(looks) if looks else None
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if given.pictures:
        for name, one in found.items():
            for generator, made in (("stand_ins", one.stand_ins), ("familiar", one.familiar)):
                if made.examples:
                    file = f"{name.replace(' ', '_').replace('/', '_')}_{generator}.png"
                    cv2.imwrite(str(given.pictures / file), sheet(made.examples))


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


def look(segmenter: Segmenter, source: RealSource, files: list[Path], keep: bool) -> tuple[Found, list[Sample]]:
    """Outline every picture as it is; its pictures come back, in grey, where they are to `keep`."""
    found, kept = Found(source.seen), []
    for sample in track(every(files), description=source.name, console=Console(stderr=True)):
        mask, _ = ask_outline(segmenter, sample.pixels, sample.sector)
        found.pictures += 1
        found.no_result += mask is None
        found.outlined += mask is not None and bool(mask.any())
        if keep:
            kept.append(Sample(to_grey(sample.pixels).copy(), sample.sector, None))
    return found, kept[:: max(1, -(-len(kept) // COMPOSITES_AT_MOST))]


def judge(
    segmenter: Segmenter, found: Found, kept: list[Sample], lesions: list[Lesion], outlines: list[Mask]
) -> list[Appearance]:
    """Set tears into a source's pictures, in two ways, and ask again; what the stand-ins look like."""
    looks = []
    for made in made_of(kept, lesions):
        sector = whole(made.pixels.shape)
        found.stand_ins.add(segmenter, made.pixels, sector, made.mask)
        bare, _ = ask_outline(segmenter, made.host, sector)
        found.stand_ins.hosts_outlined += bare is not None and bool(bare.any())
        looks.append(appearance(made.pixels, made.mask))
    rng = np.random.default_rng(20)
    for sample in kept:
        pixels, truth = familiar(sample, outlines, rng)
        if truth.any():
            found.familiar.add(segmenter, pixels, sample.sector, truth)
    return looks


def made_of(kept: list[Sample], lesions: list[Lesion]) -> Iterator[StandIn]:
    """Stand-ins in a source's pictures; of few pictures several each."""
    for turn in range(max(1, STAND_INS // max(len(kept), 1))):
        for number, sample in enumerate(kept):
            picture = np.ascontiguousarray(sample.sector.cut(sample.pixels), np.uint8)
            made = stand_in(picture, 1000 * turn + number, lesions)
            if made is not None:
                yield made


def familiar(sample: Sample, outlines: list[Mask], rng: np.random.Generator) -> tuple[Grey, Mask]:
    """A composite as training makes them; the truth is empty where no place was found."""
    pixels, truth = sample.pixels.copy(), np.zeros(sample.pixels.shape, np.bool_)
    for _ in range(TRIES):
        part = np.array(sample.sector.cut(pixels), np.uint8)
        made, inside = composite(part, outlines[int(rng.integers(len(outlines)))], rng)
        if inside.any():
            sample.sector.cut(pixels)[...] = made
            sample.sector.cut(truth)[...] = inside
            break
    return pixels, truth


def drawn(pixels: NDArray[np.uint8], mask: Mask, truth: Mask, sector: Sector) -> NDArray[np.uint8]:
    """The sector with the truth in cyan and the outline in amber, 320 x 240."""
    image = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    for part, colour in ((truth, (255, 255, 0)), (mask, (0, 190, 255))):
        contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, colour, 2)
    inside = np.ascontiguousarray(sector.cut(image), np.uint8)
    return np.asarray(cv2.resize(inside, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)


def sheet(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Tiles four in a row."""
    while len(tiles) % 4:
        tiles.append(np.zeros_like(tiles[0]))
    return np.vstack([np.hstack(tiles[n : n + 4]) for n in range(0, len(tiles), 4)])


def show(found: dict[str, Found]) -> None:
    """The tables for people."""
    bare = Table("source", "pictures", "outlined", "no result", "of it training has")
    for name, one in found.items():
        share = f"{one.outlined} ({one.outlined / max(one.pictures, 1):.1%})"
        bare.add_row(name, str(one.pictures), share, str(one.no_result), one.seen or "nothing")
    Console().print(bare)
    words = ("source", "tears by", "n", "found", "Dice", "precision", "recall", "any threshold", "ECE", "without tear")
    composites = Table(*words)
    for name, one in found.items():
        for generator, made in (("stand-ins", one.stand_ins), ("training's", one.familiar)):
            if made.scores.pictures:
                composites.add_row(name, generator, *cells(made, generator))
    Console().print(composites)
    Console().print("stand-ins of all sources:", together(found))


def together(found: dict[str, Found]) -> dict[str, int | float | None]:
    """Stand-ins of all sources pooled."""
    counts = Counts()
    for one in found.values():
        counts.merge(one.stand_ins.scores.counts)
    pairs = [(one.stand_ins.scores.pictures, one.stand_ins.found) for one in found.values()]
    many, hits = (sum(each) for each in zip(*pairs, strict=True))
    return {
        "composites": many, "found": hits, "found_share": round(hits / many, 4) if many else None,
        "dice": counts.dice_pooled, "precision": counts.precision, "recall": counts.recall,
    }  # fmt: skip


def cells(made: Composites, generator: str) -> list[str]:
    """One row's figures."""
    report, many = made.as_report(), made.scores.pictures
    names = ("dice", "precision", "recall", "dice_at_any_threshold", "ece")
    scores = [f"{report[name]:.3f}" if report[name] is not None else "-" for name in names]
    hosts = f"{made.hosts_outlined} of {many}" if generator == "stand-ins" else "-"
    return [str(many), f"{made.found} ({made.found / many:.0%})", *scores, hosts]


def show_looks(looks: list[Appearance]) -> None:
    """What the stand-ins look like beside real tears."""
    quantiles = Table("5 / 25 / 50 / 75 / 95 %", f"{len(looks)} stand-ins", "74 real tears")
    for row in beside_real(table(looks)):
        quantiles.add_row(*row)
    Console().print(quantiles)


if __name__ == "__main__":
    main()
