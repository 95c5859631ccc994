"""What is usual at a clinic: its own frames. Pictures unlike them are the shipped network's to answer.

It is told by Mahalanobis' distance as in `train.nets.familiar`, in the frozen encoder's features, which adapting leaves
as they are: so scaled that of the views of a patient who was left out 90 % lie within 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..pictures.datasets import Samples
from ..pictures.pixels import Grey
from ..train.data.augment import gained
from .varied import jittered

VIEWS = 10  # of each frame: as it is, and turned, bent and gained a little
INSIDE = 0.9  # of the views of a patient who was left out are to be usual
LIMIT = 1.0  # strangeness from which on a picture is another clinic's


def views_apart(frames: Samples, whose: Sequence[str], seed: int) -> list[list[Grey]]:
    """Ten views of each frame, those of one patient together; or those of one frame, where all are of one patient.

    whose: the patient of each frame, or its name.
    """
    names = whose if len(set(whose)) > 1 else [str(place) for place in range(len(frames))]
    found: dict[str, list[Grey]] = defaultdict(list)
    for place, name in enumerate(names):
        rng = np.random.default_rng((seed, 31, place))
        pixels, mask = frames[place]
        found[name] += [pixels, *(gained(jittered(pixels, mask, rng)[0], rng) for _ in range(VIEWS - 1))]
    return list(found.values())
