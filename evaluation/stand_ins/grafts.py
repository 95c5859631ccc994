"""A real lesion of another organ with its own edge, set into muscle or tendon in the gradient domain or by its rim."""

from __future__ import annotations

import cv2
import numpy as np

from ...pictures.breast_lesions import Lesion
from ...pictures.pixels import Grey, Mask
from ...scores.appearance import RING, dilated
from .gaps import solved
from .places import Seen, laid
from .shapes import Field

FLATTENED = (1.2, 2.2)  # a tear is flatter than a lump
REACH = 8  # pixels beyond the lesion that are cloned: OpenCV takes 3 of them away, and its edge is to come along
LARGER = 1.3  # times its own size, at most


def stretched(lesion: Lesion, area: float, rng: np.random.Generator) -> Lesion | None:
    """The lesion flattened, mirrored at random, and scaled to `area` pixels; None where it is too small for that."""
    flat = rng.uniform(*FLATTENED)
    scale = float(np.sqrt(area / lesion.mask.sum() / flat))
    if scale * flat > LARGER:  # it would be smoother than what is around it
        return None
    size = (max(8, round(lesion.mask.shape[1] * scale * flat)), max(8, round(lesion.mask.shape[0] * scale)))
    grey = cv2.resize(lesion.grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    mask = cv2.resize(lesion.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    if rng.random() < 0.5:
        grey, mask = grey[:, ::-1].copy(), mask[:, ::-1].copy()
    return Lesion(np.asarray(grey, np.uint8), mask, lesion.name)


def place_lesion(lesion: Lesion, row: int, column: int, seen: Seen) -> Mask | None:
    """Where the lesion would lie with its middle there, bool (rows, columns); None where its rim does not fit."""
    mask = laid(lesion.mask, row, column, seen)
    if mask is None or not lesion.mask.any():
        return None
    (top, left), (rows, columns) = _corner(mask, lesion), lesion.mask.shape
    fits = top >= 1 and left >= 1 and top + rows < mask.shape[0] and left + columns < mask.shape[1]
    return mask if fits else None


def graft(seen: Seen, lesion: Lesion, mask: Mask, contrast: float, rng: np.random.Generator) -> Grey:
    """The picture with `lesion` in `mask`, where `place_lesion` put it; mean grey inside / ring is `contrast`.

    Half of them in the gradient domain (Perez et al. 2003, cv2.seamlessClone), half by the lesion's own soft rim. The
    lesion is first brought to the brightness that its new surroundings have.
    """
    top, left = _corner(mask, lesion)
    rows, columns = lesion.mask.shape
    part = (slice(top, top + rows), slice(left, left + columns))
    rim = dilated(lesion.mask, RING) & ~lesion.mask
    here = float(seen.grey[part][rim].mean())
    own = max(float(lesion.grey[rim].mean()), 8.0)
    relative = np.maximum(lesion.grey.astype(np.float32), 1) / np.float32(own)
    soft_reach = dilated(lesion.mask, 3)
    soft = cv2.GaussianBlur(soft_reach.astype(np.float32), (0, 0), sigmaX=2.2, sigmaY=1.4)
    gradients = rng.random() < 0.5
    reach = dilated(lesion.mask, REACH)
    middle = (left + columns // 2, top + rows // 2)

    def made(loss: float) -> Field:
        # deeper or shallower about the level of the rim: inside it falls with the loss, at the rim little changes
        steep = np.float32(0.6 + loss / 28)
        source = np.clip(here * relative**steep, 0, 255).astype(np.float32)
        image = seen.grey.astype(np.float32)
        if gradients:
            return _cloned(source, seen.grey, reach, middle)
        image[part] = image[part] * (1 - soft) + source * soft
        return image

    return np.clip(np.rint(solved(made, mask, contrast)), 0, 255).astype(np.uint8)


def _cloned(source: Field, picture: Grey, reach: Mask, middle: tuple[int, int]) -> Field:
    # all of the source counts as mask's frame: OpenCV places the middle of the mask's box, not of the source
    frame = cv2.boundingRect(reach.astype(np.uint8))
    x, y, width, height = frame
    rows, columns = reach.shape
    at = (middle[0] - columns // 2 + x + width // 2, middle[1] - rows // 2 + y + height // 2)
    colours = [cv2.cvtColor(each, cv2.COLOR_GRAY2BGR) for each in (source.astype(np.uint8), picture)]
    made = cv2.seamlessClone(colours[0], colours[1], reach.astype(np.uint8) * 255, at, cv2.NORMAL_CLONE)
    return made[:, :, 0].astype(np.float32)


def _corner(mask: Mask, lesion: Lesion) -> tuple[int, int]:
    """Row and column of the lesion's upper left pixel in the picture."""
    there, own = np.argwhere(mask).min(0), np.argwhere(lesion.mask).min(0)
    return int(there[0] - own[0]), int(there[1] - own[1])
