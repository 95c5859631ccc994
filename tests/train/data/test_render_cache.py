from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from smartca.phantom import HELD_OUT_FROM, VALIDATE, Phantom, isotropic
from smartca.train.data.cache import Recipe, rendered
from smartca.train.session import segment


def test_cached_frames_are_the_phantoms(tmp_path: Path) -> None:
    recipe = Recipe((5, 80_001), frames=2, longest=128)
    seen: list[tuple[int, int]] = []
    cached = rendered(recipe, tmp_path, workers=1, on_done=lambda *numbers: seen.append(numbers))
    assert len(cached) == 4 and seen == [(4, 4)]
    pixels, mask, _ = isotropic(Phantom(80_001, close=recipe.close(1)).frame(recipe.times(80_001)[1]), 128)
    assert np.array_equal(cached[3][0], pixels) and np.array_equal(cached[3][1], mask)
    assert max(cached[0][0].shape) == 128


def test_two_processes_render_the_same(tmp_path: Path) -> None:
    recipe = Recipe(tuple(range(9)), frames=1, longest=64)
    seen: list[tuple[int, int]] = []
    apart = rendered(recipe, tmp_path / "two", workers=2, on_done=lambda *numbers: seen.append(numbers))
    alone = rendered(recipe, tmp_path / "one", workers=1)
    assert len(seen) == 2 and seen[-1] == (9, 9)
    assert all(np.array_equal(*pair) for n in range(9) for pair in zip(apart[n], alone[n], strict=True))


def test_rendering_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe = Recipe((1, 2, 3), frames=1, longest=64)
    cached = rendered(recipe, tmp_path, workers=1)
    before = [cached[n][0].copy() for n in range(3)]
    del cached
    sizes = np.lib.format.open_memmap(tmp_path / recipe.key / "sizes.npy", "r+")
    sizes[1] = 0  # as if it had stopped before the second seed
    sizes.flush()
    counts: list[int] = []
    again = rendered(recipe, tmp_path, workers=1, on_done=lambda done, _: counts.append(done))
    assert counts == [3]
    assert all(np.array_equal(again[n][0], before[n]) for n in range(3))
    rendered(recipe, tmp_path, workers=1, on_done=lambda done, _: counts.append(done))
    assert counts == [3]  # nothing is rendered twice


def test_times_are_spread_over_the_period() -> None:
    times = Recipe((7,), frames=4).times(7)
    assert len(set(np.diff(times))) == 1 and times[0] >= 0 and times[-1] < Phantom.period


def test_the_key_changes_with_what_is_wanted() -> None:
    keys = {Recipe((1,), 1).key, Recipe((2,), 1).key, Recipe((1,), 2).key, Recipe((1,), 1, 64).key}
    assert len(keys) == 4 and Recipe((1,), 1).key in keys


@pytest.mark.parametrize("seed", [HELD_OUT_FROM, HELD_OUT_FROM + 20])
def test_held_out_seeds_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="held out for evaluation"):
        Recipe((1, seed))


@pytest.mark.parametrize(("seeds", "validation_seeds"), [(0, 1), (1, len(VALIDATE) + 1)])
def test_numbers_of_seeds_out_of_range_are_refused(tmp_path: Path, seeds: int, validation_seeds: int) -> None:
    with pytest.raises(ValueError, match="give a number from 1 to"):
        segment(out=tmp_path, cache=tmp_path, threads=1, frames=1, seeds=seeds, validation_seeds=validation_seeds)
    assert not list(tmp_path.iterdir())  # nothing is rendered before


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="there is no file or folder"):
        segment(data=str(tmp_path / "nowhere"), out=tmp_path / "run")
    assert not list(tmp_path.iterdir())
