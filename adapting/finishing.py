"""From the best weights to the model in its folder, and to what its page tells."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.contract import EngineError, Progress
from ..errors import InputError
from ..files import sha256
from ..pictures.datasets import Samples
from ..pictures.pixels import Grey
from ..train.checkpoint import digest
from ..train.fit import FitSettings
from ..train.logs import Row
from .compare import FittingFrames, Outcome, at_point, by_checkpoint, fitting_frames, judged
from .deploying import judged_as_it_runs, strange_apart, take_int8_away, write_int8, write_model
from .frames import ClinicFrames
from .healthy import as_samples
from .page import BeforeAfter, Story
from .record import ADAPTED
from .wanted import Wanted

PHASE = "exporting and calibrating"


@dataclass(frozen=True)
class Finishing:
    """What is known once everything is learnt. healthy: real pictures without a tear that were not learnt from."""

    wanted: Wanted
    start: Path
    frames: ClinicFrames
    healthy: Sequence[Grey]
    rehearsed: Sequence[Samples]
    settings: FitSettings
    digest: str  # of all pictures
    shipped: bool = False  # whether the shipped weights go on answering about what is unlike the clinic's frames

    @property
    def judges(self) -> list[Samples]:
        """What before and after are judged by: frames held out, phantoms, and healthy pictures, if any."""
        return [self.frames.held, self.rehearsed[1], *([as_samples(self.healthy)] if self.healthy else [])]

    def story(
        self,
        best: Path,
        rows: Sequence[Row],
        best_dice: tuple[float, float],
        say: Callable[[str], None],
        progress: Progress,
    ) -> Story:
        """Write the model, its operating points and its INT8 network; returns what the page tells.

        best_dice: see `Story`.
        """
        wanted, model = self.wanted, self.wanted.out / ADAPTED
        progress(PHASE, 0, 2)
        whose = wanted.folder.resolve().name
        shown = fitting_frames(self.frames.held, self.rehearsed[1], self.healthy, wanted.seed, whose, self.shipped)
        point = write_model(best, model, shown, wanted.threads)
        progress(PHASE, 1, 2)
        before = self._before(shown)
        progress(PHASE, 2, 2)
        if wanted.int8:
            say(self._int8(model, shown, progress))
        after, precision = judged_as_it_runs(model, self.judges, wanted.threads)
        pairs = [BeforeAfter(*each) for each in zip(before, after, strict=True)]
        return Story(
            clinic=pairs[0],
            rehearsal=pairs[1],
            healthy=pairs[2] if self.healthy else None,
            as_it_stood=self._as_it_stood(),
            rows=rows,
            best_dice=best_dice,
            point=point,
            facts=self._facts(model, precision),
            words=self.frames.in_words(),
            commands=commands(wanted.out),
            precision=precision,
        )

    def _int8(self, model: Path, shown: FittingFrames, progress: Progress) -> str:
        learn, words = [self.frames.learn, self.rehearsed[0]], str(self.wanted.folder)
        # by what it will be asked about
        held = [shown.clinic_samples] if self.shipped else self.judges
        told = write_int8(model, learn, held, words, self.digest, progress, self.wanted.threads)
        if self.shipped and (apart := strange_apart(model, held, self.wanted.threads)):
            take_int8_away(model)
            return apart
        return told

    def _before(self, shown: FittingFrames) -> list[Outcome]:
        """What the weights that were started from outline, at the threshold that suits each kind of pictures best."""
        predict, size = by_checkpoint(self.start), self.settings.size
        points = shown.points_apart(predict, size)
        looks = [at_point(predict, point) for point in points]
        return [judged(look, each, size) for look, each in zip(looks, self.judges, strict=False)]

    def _as_it_stood(self) -> Outcome | None:
        """The frames held out by the model beside the checkpoint, as it runs; None where none is there."""
        model = self.start.with_suffix(".onnx")
        if not model.is_file():
            return None
        try:
            return judged_as_it_runs(model, [self.frames.held], self.wanted.threads)[0][0]
        except (EngineError, InputError):  # whatever it is, it is no model that could run instead
            return None

    def _facts(self, model: Path, precision: str) -> list[tuple[str, str]]:
        settings = self.settings
        return [
            ("weights", f"{model.name}, SHA-256 {sha256(model)[:16]}..., run in {precision}"),
            ("started from", f"{self.start.name}, {digest(self.start)}"),
            ("frames", f"{self.wanted.folder.resolve().name}, digest {self.digest[:16]}"),
            ("network", f"{settings.network}, {settings.size} x {settings.size} pixels, loss {settings.loss}"),
            ("steps", f"{settings.steps} of {settings.batch} pictures, about half of them rehearsal"),
        ]


def commands(out: Path) -> list[tuple[str, str]]:
    """What can be done with an adapted network: (what for, command)."""
    return [
        ("to use it once", shlex.join(["smartca", "run", "SOURCE", "--model", str(out / ADAPTED)])),
        ("to use it always", shlex.join(["smartca", "adapt", "--use", str(out)])),
        ("to go back to the shipped weights", "smartca adapt --back"),
    ]
