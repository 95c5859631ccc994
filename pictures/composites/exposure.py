"""A picture brought to the brightness that examiners give a shoulder's."""

from __future__ import annotations

import numpy as np

from ..pixels import Grey


def lit(pixels: Grey, rng: np.random.Generator) -> Grey:
    """Black level, white level and grey curve set so that the tissue's median is mid-grey. Same shape, (rows, columns).

    Pictures of muscle and joints are darker than those of 74 torn cuffs, whose rings have 54 to 134.
    """
    tissue = pixels[pixels > 8]
    if tissue.size < 100:
        return pixels
    black = float(np.percentile(tissue, 10)) * rng.uniform(0, 0.8)
    white = max(float(np.percentile(tissue, rng.uniform(96, 100))), black + 32)
    greys = np.clip((np.arange(256) - black) / (white - black), 0, 1)
    middle = float(np.clip((np.median(tissue) - black) / (white - black), 0.03, 0.97))
    curve = np.clip(np.log(rng.uniform(50, 115) / 255) / np.log(middle), 0.45, 1.6)
    return np.rint(255 * greys**curve).astype(np.uint8)[pixels]
