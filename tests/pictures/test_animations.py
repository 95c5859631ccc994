"""Animated PNG and WebP: every picture once, and when each of them is to be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from smartca.pictures.animations import page_times
from smartca.stream.sources import open_source

DURATIONS = [40, 80, 40, 200]  # ms
TIMES = [0, 40_000_000, 120_000_000, 160_000_000]  # ns
HOW: dict[str, dict[str, Any]] = {"png": {}, "webp": {"lossless": True, "minimize_size": False}}


def frames(count: int = 4) -> list[Image.Image]:
    """Picture k is noise with its upper half of level 30 k."""
    rng = np.random.default_rng(0)
    made = rng.integers(0, 255, (count, 40, 48, 3)).astype(np.uint8)
    for number in range(count):
        made[number, :20] = 30 * number
    return [Image.fromarray(frame) for frame in made]


def animated(path: Path, durations: Any = DURATIONS, **more: Any) -> Path:
    first, *others = frames()
    how = HOW[path.suffix[1:]] | {"save_all": True, "append_images": others, "duration": durations} | more
    first.save(path, **how)
    return path


@pytest.mark.parametrize("suffix", HOW)
def test_each_picture_has_its_own_time(suffix: str, tmp_path: Path) -> None:
    with open_source(str(animated(tmp_path / f"a.{suffix}"))) as source:
        assert source.count == 4 and source.fps == pytest.approx(3 / 0.16) and not source.unrelated
        found = list(source.pictures())
        assert [picture.media_ns for picture in found] == TIMES
        for picture, wanted in zip(found, frames(), strict=True):
            assert np.array_equal(picture.pixels, np.asarray(wanted)[..., ::-1])
        assert [picture.media_ns for picture in source.pictures(2)] == TIMES[2:]


def test_the_png_that_is_no_part_of_its_animation_is_not_shown(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.png", durations=DURATIONS[1:], default_image=True)
    with open_source(str(path)) as source:
        assert [int(picture.pixels[0, 0, 0]) for picture in source.pictures()] == [30, 60, 90]
        assert [picture.media_ns for picture in source.pictures()] == [0, 80_000_000, 120_000_000]


@pytest.mark.parametrize("suffix", HOW)
def test_what_has_no_times_gets_none(suffix: str, tmp_path: Path) -> None:
    timeless = animated(tmp_path / f"a.{suffix}", durations=0)
    still = tmp_path / f"b.{suffix}"
    frames()[0].save(still)
    for path in (timeless, still):
        with open_source(str(path)) as source:
            assert source.fps is None and all(picture.media_ns is None for picture in source.pictures())


def test_several_animations_in_a_folder_are_no_film(tmp_path: Path) -> None:
    for name in "ab":
        animated(tmp_path / f"{name}.png")
    with open_source(str(tmp_path)) as source:
        assert source.count == 8 and source.fps is None
        assert {picture.media_ns for picture in source.pictures()} == {None}


def test_damaged_chunks_tell_no_times(tmp_path: Path) -> None:
    for suffix in HOW:
        path = animated(tmp_path / f"a.{suffix}")
        whole = path.read_bytes()
        assert page_times(path, 4) == TIMES and page_times(path, 5) is None
        for size in (0, 3, 11, 20, len(whole) // 2):
            path.write_bytes(whole[:size])
            assert page_times(path, 4) is None
    assert page_times(tmp_path / "gone.png", 4) is None
