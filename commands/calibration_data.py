"""From `--calibrate DATA` and `--gate DATA` to pictures: what `smartca build` and `smartca calibrate report` take."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..engine.pixels import Sector, letterbox, letterbox_mask
from .options import crop_option, finite

if TYPE_CHECKING:
    from ..calibration.findings import Findings, Material
    from ..calibration.frames import Shown
    from ..engine.assembly import Asked
    from ..engine.trt_build import Progress
    from ..stream.evaluate import Sample

READING = "reading pictures"
CANDIDATES = 192  # looked at, to choose from
GATE = 96
LIVE_SECONDS = 60  # of a camera, to choose from
BLOCK = 8  # neighbouring frames of a film that stay together
CALIBRATE_PHANTOM = "phantom:seeds=0..63,frames=3"
# validation seeds: nothing was learnt from them, and no operating point was chosen by these
GATE_PHANTOM = "phantom:seeds=86000..86031,frames=3"


WORST_FRAME = 0.05  # of Dice, that a frame may lose


@dataclass(frozen=True, slots=True)
class Data:
    """What was typed: calibrate and gate (None: other frames of the same), the picture's place, the masks' class.

    worst_frame: how much of its Dice any one frame of the gate may lose.
    """

    calibrate: str
    gate: str | None = None
    crop: str = "auto"
    mask_value: int | None = None
    worst_frame: float = WORST_FRAME

    def digest(self) -> str:
        """Of everything that decides the pictures: names and bytes of all files, and the options."""
        options = f"{self.crop} {self.mask_value} {self.worst_frame} {CALIBRATE_PHANTOM} {GATE_PHANTOM}"
        digest = hashlib.sha256(options.encode())
        for place in (self.calibrate, self.gate):
            digest.update(f"\n{place}".encode() if place is None or not Path(place).exists() else _files(Path(place)))
        return digest.hexdigest()

    def as_typed(self) -> tuple[str, ...]:
        """The options beside --calibrate that differ from what they are by themselves, each with its value."""
        typed: list[str] = []
        typed += ["--gate", self.gate] if self.gate else []
        typed += ["--crop", self.crop] if self.crop != "auto" else []
        typed += ["--mask-value", str(self.mask_value)] if self.mask_value else []
        typed += ["--worst-frame", f"{self.worst_frame:g}"] if self.worst_frame != WORST_FRAME else []
        return tuple(typed)

    def findings(self, asked: Asked, progress: Progress) -> Findings:
        """What comes of `asked` with these pictures, the gate's verdict among it.

        Raises ValueError, OSError or EngineError with one sentence.
        """
        from ..calibration.gate import Limits
        from ..calibration.int8 import find

        progress(READING, 0, 1)
        material = self.material(asked.size)
        progress(READING, 1, 1)
        limits, on_cpu = Limits(worst=self.worst_frame), asked.backend == "openvino"
        return find(asked.data, asked.name, material, asked.point, progress, on_cpu, limits)

    def material(self, size: int) -> Material:
        """The pictures, on squares of `size` pixels. Raises ValueError or OSError with one sentence."""
        from ..calibration.findings import Material

        if self.calibrate == "phantom" or self.calibrate.startswith("phantom:seeds="):
            seeds = CALIBRATE_PHANTOM if self.calibrate == "phantom" else self.calibrate
            gate = GATE_PHANTOM if self.gate in (None, "phantom") else self.gate
            return Material(self._pictures(seeds, "train", size, CANDIDATES), self._gate(gate, size), seeds, gate)
        if _labelled(self.calibrate):
            chosen = self._pictures(self.calibrate, "train", size, CANDIDATES)
            gate = self._gate(self.gate or self.calibrate, size)
            return Material(chosen, gate, f"{self.calibrate}, split train", _words(self.gate or self.calibrate))
        pictures = self._pictures(self.calibrate, "all", size, CANDIDATES + GATE)
        if self.gate:
            return Material(pictures, self._gate(self.gate, size), self.calibrate, _words(self.gate))
        chosen, gate = _apart(pictures)
        return Material(chosen, gate, self.calibrate, f"{self.calibrate}, other frames")

    def _gate(self, data: str, size: int) -> list[Shown]:
        return self._pictures(GATE_PHANTOM if data == "phantom" else data, "val", size, GATE)

    def _pictures(self, data: str, split: str, size: int, most: int) -> list[Shown]:
        """At most `most` of them, evenly spread; a live source is watched for a minute."""
        from ..calibration.frames import Shown
        from ..stream.evaluate import samples
        from ..stream.sector import parse_crop

        crop = parse_crop(self.crop)
        word = split if _labelled(data) else "all"
        if data.startswith("camera:"):
            each: Iterable[Sample] = _watch(data, crop)
        else:
            found = samples(data, {"val": "validate"}.get(word, word), crop, self.mask_value)
            step = max(1, -(-(found.count or 1) // most))
            each = itertools.islice(found.each, 0, None, step)
        return [
            Shown(
                letterbox(sample.pixels, sample.sector, size),
                None if sample.truth is None else letterbox_mask(sample.truth, sample.sector, size),
            )
            for sample in itertools.islice(each, most)
        ]


def data_options(required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--calibrate, --gate, --mask-value and --crop; the command gets them as `data`, None without --calibrate."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def collected(
            calibrate: str | None,
            gate: str | None,
            mask_value: int | None,
            crop: str,
            worst_frame: float,
            **more: Any,
        ) -> None:
            if calibrate is None and (gate or mask_value or worst_frame != WORST_FRAME):
                raise click.UsageError("--gate, --mask-value and --worst-frame go with --calibrate DATA")
            data = None if calibrate is None else Data(calibrate, gate, crop, mask_value, worst_frame)
            command(data=data, **more)

        for option in (
            crop_option,
            click.option(
                "--worst-frame",
                type=click.FloatRange(0, 1, min_open=True),
                callback=finite,
                default=WORST_FRAME,
                show_default=True,
                help="Dice that any one frame may lose at the gate; it is told in the sidecar.",
            ),
            click.option(
                "--mask-value",
                type=click.IntRange(1, 255),
                help="The tear's value in masks of several.  [default: any]",
            ),
            click.option(
                "--gate",
                metavar="DATA",
                help="Pictures that the INT8 engine must outline as fp32 does.  [default: other pictures of "
                "--calibrate; of a folder, its split 'val']",
            ),
            click.option(
                "--calibrate",
                required=required,
                metavar="DATA",
                help="Pictures to take INT8 ranges from: what evaluate's --data takes; of a folder, its split 'train'.",
            ),
        ):
            collected = option(collected)
        return collected

    return add


def _watch(data: str, crop: Sector | None) -> Iterable[Sample]:
    """A camera's pictures over a minute, evenly spread."""
    import time

    from ..stream.evaluate import Sample
    from ..stream.sector import SectorFinder
    from ..stream.sources import open_source

    with open_source(data) as source:
        finder = SectorFinder(crop or source.sector, source.unrelated)
        started = time.monotonic()
        number = 0
        for picture in source.pictures():
            passed = time.monotonic() - started
            if passed >= LIVE_SECONDS:
                return
            if passed >= number * LIVE_SECONDS / (CANDIDATES + GATE):
                number += 1
                yield Sample(picture.pixels, finder.sector(picture.pixels), None)


def _labelled(data: str) -> bool:
    """Whether it is a folder with images/ and masks/ (or split.csv), as `samples` takes it."""
    folder = Path(data)
    return (folder / "images").is_dir() and ((folder / "masks").is_dir() or (folder / "split.csv").is_file())


def _words(data: str) -> str:
    return f"{data}, split val" if _labelled(data) else GATE_PHANTOM if data == "phantom" else data


def _apart(pictures: list[Shown]) -> tuple[list[Shown], list[Shown]]:
    """Two thirds to calibrate, the rest for the gate; neighbours in a film, which are alike, stay together."""
    block = max(1, min(BLOCK, len(pictures) // 6))
    gate = [shown for number, shown in enumerate(pictures) if number // block % 3 == 2]
    return [shown for number, shown in enumerate(pictures) if number // block % 3 != 2], gate[:GATE]


def _files(root: Path) -> bytes:
    """A digest of the names and bytes of one file, or of all in a folder."""
    digest = hashlib.sha256()
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    for file in files:
        digest.update(f"\n{file.relative_to(root) if root.is_dir() else file.name}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.digest()
