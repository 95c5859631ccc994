"""Parts of labelled frames that show tissue and no tear."""

import numpy as np
from smartca.adapting.beside import PARTS, beside
from smartca.train.study.pictures import StudyPicture, StudyPictures

SHAPE = (120, 160)


def frame(seed: int, tear: slice, dark: slice = slice(0, 0)) -> StudyPicture:
    """Noise; the columns of `tear` hold a tear that is white, those of `dark` nothing."""
    pixels = np.random.default_rng(seed).integers(20, 120, SHAPE).astype(np.uint8)
    mask = np.zeros(SHAPE, np.bool_)
    mask[20:100, tear] = True
    pixels[mask], pixels[:, dark] = 255, 0
    return StudyPicture(pixels, mask)


def test_parts_hold_nothing_of_a_tear() -> None:
    frames = StudyPictures([frame(0, slice(0, 30)), frame(1, slice(100, 150))], ["0", "1"])
    parts = beside(frames, 1)
    assert 4 <= len(parts) <= 2 * PARTS
    assert all(part.max() < 255 and part.shape != SHAPE for part in parts)
    assert all(np.array_equal(*pair) for pair in zip(parts, beside(frames, 1), strict=True))


def test_shadow_is_no_tissue() -> None:
    assert beside(StudyPictures([frame(0, slice(0, 40), dark=slice(40, 160))], ["0"]), 1) == []


def test_neither_a_frame_full_of_tear_nor_a_healthy_one_gives_any() -> None:
    full = StudyPicture(frame(0, slice(0, 0)).pixels, np.ones(SHAPE, np.bool_))
    assert beside(StudyPictures([full, frame(1, slice(0, 0))], ["0", "1"]), 1) == []
