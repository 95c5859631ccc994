"""From `--calibrate DATA` and `--gate DATA` to pictures: what `smartca build` and `smartca calibrate report` take."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...engine.building.assembly import Asked
from ...engine.contract import Progress
from ...engine.letterbox import letterbox, letterbox_mask
from ...evaluation.samples import Sample, samples, watched
from ...pictures.datasets import form_of, open_data, refuse_choice
from ...pictures.filetypes import files_in
from ...pictures.labelled import ALL, LabelledFolder
from .findings import Int8Findings, Material
from .picture_choice import CalibrationPicture

READING = "reading pictures"
CANDIDATES = 192  # looked at, to choose from
GATE = 96
BLOCK = 8  # neighbouring frames of a film that stay together
CALIBRATE_PHANTOM = "phantom:seeds=0..63,frames=3"
# validation seeds: nothing was learnt from them, and no operating point was chosen by these
GATE_PHANTOM = "phantom:seeds=86000..86031,frames=3"
WORST_FRAME = 0.05  # of Dice, that a frame may lose
POOLED_DICE, RECALL = 0.005, 0.01  # that all frames together may lose


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """What was typed: calibrate and gate (None: other frames of the same), the picture's place, the tear's class.

    worst_frame: how much of its Dice any one frame of the gate may lose. gate_dice, gate_recall: how much of
    pooled Dice and of recall all of them together may.
    """

    calibrate: str
    gate: str | None = None
    crop: str = "auto"
    mask_value: int | None = None
    worst_frame: float = WORST_FRAME
    label: tuple[str, ...] = ()
    gate_dice: float = POOLED_DICE
    gate_recall: float = RECALL

    def digest(self) -> str:
        """Of everything that decides the pictures: names and bytes of all files, and the options."""
        options = f"{self.crop} {self.mask_value} {self.worst_frame} {CALIBRATE_PHANTOM} {GATE_PHANTOM}"
        options += f" {self.label}" if self.label else ""
        options += "" if self._usual_pooled() else f" {self.gate_dice} {self.gate_recall}"
        digest = hashlib.sha256(options.encode())
        for place in (self.calibrate, self.gate):
            there = place is not None and Path(place).exists()
            digest.update(_digest_of_files(place, self.label) if place and there else os.fsencode(f"\n{place}"))
        return digest.hexdigest()

    def as_typed(self) -> tuple[str, ...]:
        """The options beside --calibrate that differ from what they are by themselves, each with its value."""
        typed: list[str] = []
        typed += ["--gate", self.gate] if self.gate else []
        typed += ["--crop", self.crop] if self.crop != "auto" else []
        typed += ["--mask-value", str(self.mask_value)] if self.mask_value else []
        typed += [word for name in self.label for word in ("--label", name)]
        typed += ["--worst-frame", f"{self.worst_frame:g}"] if self.worst_frame != WORST_FRAME else []
        typed += ["--gate-dice", f"{self.gate_dice:g}"] if self.gate_dice != POOLED_DICE else []
        typed += ["--gate-recall", f"{self.gate_recall:g}"] if self.gate_recall != RECALL else []
        return tuple(typed)

    def findings(self, asked: Asked, progress: Progress) -> Int8Findings:
        """What comes of `asked` with these pictures, the gate's verdict among it.

        Raises ValueError, OSError or EngineError with one sentence.
        """
        from .find import find
        from .gate import Limits

        progress(READING, 0, 1)
        material = self.material(asked.size)
        progress(READING, 1, 1)
        limits = Limits(dice=self.gate_dice, worst=self.worst_frame, recall=self.gate_recall)
        on_cpu = asked.backend == "openvino"
        return find(asked.data, asked.name, material, asked.point, progress, on_cpu, limits)

    def _usual_pooled(self) -> bool:
        return (self.gate_dice, self.gate_recall) == (POOLED_DICE, RECALL)

    def material(self, size: int) -> Material:
        """The pictures, on squares of `size` pixels. Raises ValueError or OSError with one sentence."""
        from .findings import Material

        if self.calibrate == "phantom" or self.calibrate.startswith("phantom:seeds="):
            seeds = CALIBRATE_PHANTOM if self.calibrate == "phantom" else self.calibrate
            gate = GATE_PHANTOM if self.gate in (None, "phantom") else self.gate
            return Material(self._pictures(seeds, "train", size, CANDIDATES), self._gate(gate, size), seeds, gate)
        if form_of(self.calibrate):
            chosen = self._pictures(self.calibrate, "train", size, CANDIDATES)
            gate = self._gate(self.gate or self.calibrate, size)
            return Material(chosen, gate, f"{self.calibrate}, split train", _words(self.gate or self.calibrate))
        pictures = self._pictures(self.calibrate, "all", size, CANDIDATES + GATE)
        if self.gate:
            return Material(pictures, self._gate(self.gate, size), self.calibrate, _words(self.gate))
        chosen, gate = _apart(pictures)
        return Material(chosen, gate, self.calibrate, f"{self.calibrate}, other frames")

    def _choice(self, form: str | None) -> tuple[int | None, tuple[str, ...]]:
        """The mask value and the labels for data of a form: each goes to the data that has such, where one has."""
        forms = {form_of(data) for data in (self.calibrate, self.gate) if data}
        value = self.mask_value if form == "masks" or "masks" not in forms else None
        return value, self.label if form == "outlines" or "outlines" not in forms else ()

    def _gate(self, data: str, size: int) -> list[CalibrationPicture]:
        return self._pictures(GATE_PHANTOM if data == "phantom" else data, "val", size, GATE)

    def _pictures(self, data: str, split: str, size: int, most: int) -> list[CalibrationPicture]:
        """At most `most` of them, evenly spread; a live source is watched for a minute."""
        from ...pictures.sector import parse_crop
        from .picture_choice import CalibrationPicture

        crop, form = parse_crop(self.crop), form_of(data)
        value, label = self._choice(form)
        if data.startswith("camera:") and not Path(data).exists():
            refuse_choice(data, value, label)
            each: Iterable[Sample] = watched(data, crop, CANDIDATES + GATE)
        else:
            found = samples(data, split if form else ALL, crop, value, label)
            step = max(1, -(-(found.count or 1) // most))
            each = itertools.islice(found.each, 0, None, step)
        return [
            CalibrationPicture(
                letterbox(sample.pixels, sample.sector, size),
                None if sample.truth is None else letterbox_mask(sample.truth, sample.sector, size),
            )
            for sample in itertools.islice(each, most)
        ]


def _files_of(data: str, label: Sequence[str]) -> Iterator[Path]:
    """One file, all of a folder, or an annotation file and the pictures that it names."""
    root = Path(data)
    if root.is_dir():
        yield from files_in(root, deep=True)
        return
    yield root
    if form_of(root) == "outlines":
        opened = open_data(root, ALL, label=label)
        assert not isinstance(opened, LabelledFolder)
        yield from (opened.picture(number) for number in range(len(opened)))


def _words(data: str) -> str:
    return f"{data}, split val" if form_of(data) else GATE_PHANTOM if data == "phantom" else data


def _apart(pictures: list[CalibrationPicture]) -> tuple[list[CalibrationPicture], list[CalibrationPicture]]:
    """Two thirds to calibrate, the rest for the gate; neighbours in a film, which are alike, stay together."""
    block = max(1, min(BLOCK, len(pictures) // 6))
    gate = [shown for number, shown in enumerate(pictures) if number // block % 3 == 2]
    return [shown for number, shown in enumerate(pictures) if number // block % 3 != 2], gate[:GATE]


def _digest_of_files(data: str, label: Sequence[str]) -> bytes:
    """A digest of the names and bytes of everything that `data` is made of."""
    digest, root = hashlib.sha256(), Path(data)
    for file in _files_of(data, label):
        digest.update(os.fsencode(f"\n{file.relative_to(root) if root.is_dir() else file.name}\n"))
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.digest()
