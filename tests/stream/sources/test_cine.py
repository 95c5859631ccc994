"""Cines drawn beforehand: what is stored comes back, and damage is said plainly."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import platformdirs
import pytest
from smartca.phantom import PHANTOM_VERSION, Phantom, Screen, isotropic
from smartca.stream.sources.cine import (
    SHIPPED_CINE,
    SHIPPED_SEED,
    about_of,
    cine_for,
    masks_of,
    open_cine,
    write_cine,
    write_folder,
)

SEED, FRAMES = 90010, 6


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cine(tmp_path_factory.mktemp("cine") / "a.mp4", SEED, FRAMES)


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    for part in (stored, masks_of(stored), about_of(stored)):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    return tmp_path / stored.name


def test_what_was_drawn_comes_back(stored: Path) -> None:
    cine, phantom = open_cine(stored), Phantom(SEED)
    screen = Screen(focus_mm=phantom.scanner.focus_mm)
    assert (cine.count, cine.kind, cine.seed, cine.fps) == (FRAMES, "bursal", SEED, 30.0)
    number = -1
    for number, (pixels, mask) in enumerate(cine.frames()):
        shot = screen(phantom.frame(number))
        assert pixels.dtype == np.uint8 and pixels.shape == (480, 640)
        assert np.array_equal(mask, shot.mask) and mask.dtype == np.bool_
        assert np.abs(pixels.astype(float) - shot.pixels).mean() < 2
        assert cine.sector == shot.sector
        assert cine.mm_per_pixel == shot.mm_per_pixel
    assert number == FRAMES - 1


def test_cine_loops_on_request(stored: Path) -> None:
    twice = list(islice(open_cine(stored).frames(loop=True), 2 * FRAMES + 1))
    assert np.array_equal(twice[0][0], twice[FRAMES][0])
    assert np.array_equal(twice[1][1], twice[FRAMES + 1][1])


def test_drawing_tells_how_far_it_is_and_leaves_no_partial_file(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    write_cine(tmp_path / "b.mp4", 3, 2, progress=lambda done, of: heard.append((done, of)))
    assert heard == [(1, 2), (2, 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "b.masks.npz", "b.mp4"]


def test_a_stopped_drawing_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cine(tmp_path / "c.mp4", 3, 4, progress=stop)
    assert not list(tmp_path.iterdir())


def test_shipped_cine_is_the_whole_period_of_this_recipe() -> None:
    cine = open_cine(cine_for())
    assert cine.path == SHIPPED_CINE
    assert (cine.seed, cine.count, cine.about.recipe) == (SHIPPED_SEED, Phantom.period, PHANTOM_VERSION)
    assert cine_for(SHIPPED_SEED, 10_000) == SHIPPED_CINE
    assert SHIPPED_CINE.stat().st_size < 4_000_000
    phantom = Phantom(SHIPPED_SEED)
    screen = Screen(focus_mm=phantom.scanner.focus_mm)
    for number, (pixels, mask) in enumerate(islice(cine.frames(), 2)):
        shot = screen(phantom.frame(number))
        assert np.array_equal(mask, shot.mask)
        assert np.abs(pixels.astype(float) - shot.pixels).mean() < 2


def test_other_seeds_are_drawn_once_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    heard: list[tuple[int, int]] = []

    def hear(done: int, of: int) -> None:
        heard.append((done, of))

    path = cine_for(5, 3, hear)
    assert path.parent == tmp_path / "smartca" / "cines"
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert cine_for(5, 3, hear) == path
    assert len(heard) == 3
    assert open_cine(path).count == 3


def test_missing_and_damaged_files_are_named(copy: Path) -> None:
    whole = masks_of(copy).read_bytes()
    masks_of(copy).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.masks\.npz is damaged"):
        open_cine(copy)
    masks_of(copy).unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.masks\.npz is missing"):
        open_cine(copy)
    masks_of(copy).write_bytes(whole)
    film = copy.read_bytes()
    copy.write_bytes(film[: len(film) // 3])
    with pytest.raises(RuntimeError, match=r"a\.mp4 is damaged"):
        list(open_cine(copy).frames())
    about_of(copy).write_text("{}")
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        open_cine(copy)


def test_masks_of_another_film_are_refused(copy: Path) -> None:
    np.savez_compressed(masks_of(copy), masks=np.zeros((FRAMES + 1, 480, 80), np.uint8))
    with pytest.raises(ValueError, match=r"masks\.npz is damaged"):
        open_cine(copy)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a name in"):
        write_cine(tmp_path / "a.avi", 1, 3)
    with pytest.raises(ValueError, match="ask for 1 or more"):
        cine_for(5, 0)
    with pytest.raises(ValueError, match="ask for 1 or more"):
        write_folder(tmp_path, 1, 0)


def test_somebodys_own_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "patient.png").write_bytes(b"theirs")
    (tmp_path / "split.csv").write_text("file,split\npatient.png,train\n")
    with pytest.raises(ValueError, match=r"such as patient\.png"):
        write_folder(tmp_path, 1, 1)
    assert (tmp_path / "split.csv").read_text() == "file,split\npatient.png,train\n"


def test_folder_holds_pictures_masks_and_a_split_by_person(tmp_path: Path) -> None:
    write_folder(tmp_path, 1, 2)
    write_folder(tmp_path, 80_002, 1)
    write_folder(tmp_path, 90_004, 1)
    with (tmp_path / "split.csv").open(newline="") as lines:
        listed = {row["file"]: row["split"] for row in csv.DictReader(lines)}
    assert listed == {
        "1_0000.png": "train", "1_0001.png": "train", "80002_0000.png": "val", "90004_0000.png": "test",
    }  # fmt: skip
    pixels, mask, _ = isotropic(Phantom(1).frame(Phantom.period / 2), 512)
    for part, drawn in (("images", pixels), ("masks", mask.astype(np.uint8) * 255)):
        read = cv2.imread(str(tmp_path / part / "1_0001.png"), cv2.IMREAD_UNCHANGED)
        assert read is not None and np.array_equal(read, drawn)
