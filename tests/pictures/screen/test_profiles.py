"""A scanner's second day begins where its first ended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from smartca.pictures.pixels import Sector
from smartca.pictures.screen.found import blank
from smartca.pictures.screen.profiles import OFF, Profiles, usual_profiles
from smartca.pictures.sector import SectorFinder
from support.screens import FONTS, NAME, Screen, readable, screen

PICTURE = Sector(150, 110, 500, 440)


def first_day(profiles: Profiles) -> None:
    finder = SectorFinder(None, profiles=profiles)
    for seed in range(63):
        assert finder.look(screen(PICTURE, chrome=52, seed=seed % 4).pixels).sure


def in_the_air() -> Screen:
    """The same scanner, and no picture yet."""
    one = screen(PICTURE, chrome=52)
    PICTURE.cut(one.pixels)[...] = 0
    one.write(NAME, (200, 60), 14, 235, FONTS[0])
    return one


def test_the_second_day_is_right_from_its_first_frame(tmp_path: Path) -> None:
    first_day(Profiles(tmp_path / "screens.json"))
    empty = in_the_air()
    found = SectorFinder(None, profiles=Profiles(tmp_path / "screens.json")).look(empty.pixels)
    assert found.sure and max(abs(a - b) for a, b in zip(found.sector, PICTURE, strict=True)) <= 4
    assert readable(empty, blank(empty.pixels, found)) == 0
    assert not SectorFinder(None).look(empty.pixels).sure


def test_a_worklist_on_such_a_screen_is_no_picture(tmp_path: Path) -> None:
    first_day(Profiles(tmp_path / "screens.json"))
    page = in_the_air()
    for row in range(20):
        page.write(f"{NAME} {row}", (170, 120 + 20 * row), 11, 255, FONTS[row % 3])
    found = SectorFinder(None, profiles=Profiles(tmp_path / "screens.json")).look(page.pixels)
    assert not found.sure and readable(page, blank(page.pixels, found)) <= 0.05


def test_another_scanner_or_another_size_is_not_known(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path / "screens.json")
    first_day(profiles)
    assert profiles.recall(screen(None, chrome=52).pixels) is not None
    assert profiles.recall(screen(None, chrome=200).pixels) is None
    assert profiles.recall(screen(None, (480, 640), 52).pixels) is None


def test_the_file_is_small_and_holds_numbers_only(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path / "screens.json")
    for columns in range(600, 700):
        profiles.remember(np.zeros((300, columns), np.uint8), Sector(10, 10, 200, 200))
    known = json.loads(profiles.path.read_text())
    assert len(known) == 32 and known[-1]["columns"] == 699
    assert set(known[0]) == {"rows", "columns", "look", "sector"} and len(known[0]["look"]) == 12
    assert profiles.path.stat().st_size < 4096


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"{}", b"[1, 2]", b'[{"rows": 300}]', b"[" * 5000, b"x" * (1 << 17)]
)
def test_a_damaged_file_is_nothing_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    profiles, pixels = Profiles(tmp_path / "screens.json"), np.zeros((300, 400), np.uint8)
    profiles.path.write_bytes(content)
    assert profiles.recall(pixels) is None
    profiles.remember(pixels, Sector(10, 10, 200, 200))
    assert profiles.recall(pixels) == Sector(10, 10, 200, 200)


def test_a_sector_that_does_not_fit_is_not_believed(tmp_path: Path) -> None:
    profiles, pixels = Profiles(tmp_path / "screens.json"), np.zeros((300, 400), np.uint8)
    profiles.remember(pixels, Sector(10, 10, 2000, 200))
    assert profiles.recall(pixels) is None


def test_a_place_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    profiles = Profiles(tmp_path / "file" / "screens.json")
    profiles.remember(np.zeros((300, 400), np.uint8), Sector(10, 10, 200, 200))
    assert profiles.recall(np.zeros((300, 400), np.uint8)) is None


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_profiles() is None  # as in all tests
    monkeypatch.delenv(OFF)
    assert usual_profiles() is not None
