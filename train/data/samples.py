"""What training learns from: phantom frames, folders of pictures with masks, pictures without a tear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...pictures.composites.breast_lesions import Lesion
from ...pictures.composites.composite import composite, decoy
from ...pictures.composites.exposure import lit
from ...pictures.composites.graft import grafted
from ...pictures.datasets import Samples
from ...pictures.pixels import Grey, Mask
from .augment import augment, gained
from .texture import retextured

COMPOSITES = 0.55  # of the real pictures in a batch get a simulated tear
GRAFTS = 0.25  # of those get a real lesion of another organ instead, where there are any
DECOYS = 0.15  # of them get a patch that is none
LIT = 0.7  # of them are brought to the brightness of a shoulder's pictures
RETEXTURED = 0.4  # of the other pictures get the texture of a real one
PLAIN = 500  # samples that say what is usual


def order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The order of `count` samples in one epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_view(
    sample: tuple[Grey, Mask],
    negatives: Sequence[Grey],
    share: float,
    rng: np.random.Generator,
    lesions: Sequence[Lesion] = (),
) -> tuple[Grey, Mask]:
    """The sample, augmented; at a chance of `share` a real picture without a tear takes its place.

    Half of those get a simulated tear set in (else 'looks real' alone would come to mean 'no tear'), some a patch
    that is none; the sample's own tear, if it has one, lends the outline. Some of the other samples get the texture of
    a real picture.
    """
    pixels, mask = sample
    if negatives and rng.random() < share:
        pixels, mask = real(negatives[int(rng.integers(len(negatives)))], mask, rng, lesions)
    elif negatives and rng.random() < RETEXTURED:
        pixels = retextured(pixels, negatives, rng)
    return augment(pixels, mask, rng)


def plain_views(samples: Samples, negatives: Sequence[Grey], seed: int) -> list[Grey]:
    """Training pictures as a scanner shows them, at its usual gains: up to 500 samples, evenly spaced, and the real
    pictures as they are and with a simulated tear; each as it is, and once more with the gain turned a little.
    """
    rng = np.random.default_rng((seed, PLAIN))
    chosen = [samples[int(n)] for n in np.unique(np.linspace(0, len(samples) - 1, PLAIN).astype(int))]
    views = [pixels for pixels, _ in chosen] + list(negatives) * 2
    views += [real(picture, chosen[n % len(chosen)][1], rng)[0] for n, picture in enumerate(negatives)]
    return views + [gained(view, rng) for view in views]


def real(picture: Grey, outline: Mask, rng: np.random.Generator, lesions: Sequence[Lesion] = ()) -> tuple[Grey, Mask]:
    """A real picture without a tear: as it is, with a tear of that outline or a lesion set in, or with a decoy."""
    if rng.random() < LIT:
        picture = lit(picture, rng)
    kind = rng.random()
    if outline.any() and kind < COMPOSITES:
        if lesions and rng.random() < GRAFTS:
            return grafted(picture, lesions[int(rng.integers(len(lesions)))], rng)
        return composite(picture, outline, rng)
    if outline.any() and kind < COMPOSITES + DECOYS:
        picture = decoy(picture, outline, rng)
    return picture, np.zeros(picture.shape, np.bool_)
