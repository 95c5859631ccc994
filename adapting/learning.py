"""Learning a clinic's frames without forgetting: half of what is shown is rehearsal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..phantom import TRAIN, VALIDATE
from ..pictures.datasets import Samples
from ..train.batches import Pair
from ..train.data.augment import augment
from ..train.data.cache import OnDone, Recipe, rendered
from ..train.data.samples import training_view
from ..train.fit import Fit, FitSettings, validate
from ..train.logs import Row
from ..train.nets.network import SmartCA
from ..train.settings import Lessons, Running
from ..train.study.pictures import Repeated
from .usual_here import INSIDE, views_apart
from .varied import jittered

REHEARSED = 0.5  # of the pictures shown
HEALTHY = 0.45  # of the rehearsal are real pictures without a tear, where there are any
FORGOTTEN = 0.01  # Dice on the rehearsal's own validation that may be lost
ROUNDS = 8  # validations
ROUNDS_WITHOUT = 4  # of them without a better one
TRUSTED = 8  # frames with a tear held out: fewer cannot say which round is best
TIMED = 4  # steps


def rehearsal(seeds: int, validation_seeds: int, cache: Path | None, workers: int, on_done: OnDone) -> list[Samples]:
    """Phantom frames to learn from and to validate on, rendered into the cache where they are not yet."""
    wanted = (Recipe(tuple(TRAIN[:seeds]), 2), Recipe(tuple(VALIDATE[:validation_seeds]), 2))
    return [rendered(recipe, cache, workers, on_done) for recipe in wanted]


class AdaptFit(Fit):
    """A fit in folder `out` to the clinic's frames, `lessons.train`; `lessons.held` are those held out.

    rehearsed: phantom frames to learn again, and others to see that they are still known. before: Dice on these, and
    on the frames held out, of the weights that are started from. The best round is, among those that have lost no more
    than 0.01 of the rehearsal's Dice, the one of highest Dice on what is held out; the last one where fewer than eight
    tears are held out. (Measured: ten frames of vessels, two of them held out. The round that these two liked best
    reaches Dice .533 on 28 others, the one where they had stopped it .686.)

    whose: the patient of each frame, where pictures unlike these frames are to be strange; else what was strange stays.
    """

    best_by = ("kept", "worth")

    def __init__(
        self,
        settings: FitSettings,
        lessons: Lessons,
        out: Path,
        running: Running,
        start: Path,
        rehearsed: Sequence[Samples],
        before: float,
        whose: Sequence[str] = (),
    ) -> None:
        self.clinic, self.before, self.whose, self.usual_anew = lessons.train, before, whose, bool(whose)
        self.known, self.known_held = rehearsed
        self.trusted = trusted(lessons.held)
        every = max(1, settings.steps // ROUNDS)
        mixed = Lessons(
            Repeated(lessons.train, every * settings.batch), lessons.held, lessons.negatives, digest=lessons.digest
        )
        super().__init__(settings, mixed, out, running, None, start)

    def familiarise(self, network: SmartCA) -> None:
        """See `Fit.familiarise`; where `whose` is known, what is usual is what looks like the clinic's frames."""
        if not self.usual_anew:
            super().familiarise(network)
            return
        views = views_apart(self.clinic, self.whose, self.settings.seed)
        network.familiar.settle_apart([self.features(network, each) for each in views], INSIDE)

    def view(self, sample: int, rng: np.random.Generator) -> Pair:
        """A frame of the clinic, much varied, or the rehearsal: a phantom's, or a real one that is healthy."""
        if rng.random() < REHEARSED:
            known = self.known[int(rng.integers(len(self.known)))]
            return training_view(known, self.negatives, HEALTHY, rng)
        return augment(*jittered(*self.clinic[sample % len(self.clinic)], rng), rng)

    def score(self) -> Row:
        """Of the frames held out; and Dice on the rehearsal's, with what of it is lost beyond 0.01."""
        found = super().score()
        known = validate(self.mean, self.known_held, self.settings).dice
        worth = found["dice"] if self.trusted else self.step / self.total
        # where phantoms are the shipped network's to answer, what is forgotten of them decides nothing
        lost = 0.0 if self.usual_anew else min(0.0, known - (self.before - FORGOTTEN))
        return {**found, "rehearsal": known, "kept": lost, "worth": worth}


def trusted(held: Samples) -> bool:
    """Whether enough tears are held out to choose a round, and to end early, by them."""
    return sum(bool(held[n][1].any()) for n in range(len(held))) >= TRUSTED


def seconds_per_step(make: AdaptFit) -> float:
    """What one step takes here, batches included, at the final size; `make` is used up by it."""
    from ..train.batches import Batches

    with Batches(make.view, len(make.train), make.settings, make.crew, make.stage, make.workers) as batches:
        make._one_step(*batches[0])  # the first is slower
        begun = time.perf_counter()
        for step in range(1, TIMED):
            make._one_step(*batches[step])
    return (time.perf_counter() - begun) / (TIMED - 1)
