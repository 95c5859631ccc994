"""Looks beside a live feed: the same sector as without, at once where it must be, and no fault is swallowed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.pictures import sector as sectors
from smartca.pictures.screen.found import blank
from smartca.pictures.sector import SectorFinder

BOX = (slice(40, 360), slice(120, 520))
WIDER = (slice(40, 360), slice(60, 580))


def screen(seed: int, box: tuple[slice, slice] = BOX) -> NDArray[np.uint8]:
    """Speckle in a black screen, new in each frame."""
    chance = np.random.default_rng(seed)
    pixels = np.zeros((400, 640), np.uint8)
    rows, columns = box[0].stop - box[0].start, box[1].stop - box[1].start
    pixels[box] = chance.integers(20, 200, (rows, columns), np.uint8)
    return pixels


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of frames that were looked at beside the feed."""
    numbers: list[int] = []
    start = sectors._Later.start

    def counted(later: sectors._Later) -> None:
        numbers.append(later.began)
        start(later)

    monkeypatch.setattr(sectors._Later, "start", counted)
    return numbers


def settled(finder: SectorFinder) -> None:
    """What is under way is done."""
    if finder._later is not None:
        finder._later.join()


def test_the_sector_is_the_same(begun: list[int]) -> None:
    beside, alone = SectorFinder(None, aside=True), SectorFinder(None)
    for number in range(70):
        settled(beside)
        one, other = beside.look(screen(number)), alone.look(screen(number))
        assert one.sector == other.sector and one.sure == other.sure
    assert begun == [1, 2, 4, 8, 16, 32, 60]


def test_a_slow_look_keeps_nobody_waiting(begun: list[int]) -> None:
    finder = SectorFinder(None, aside=True)
    found = [finder.look(screen(number)) for number in range(40)]
    assert begun and begun[0] == 1
    assert len({each.sector for each in found}) == 1


def test_another_layout_is_looked_at_at_once(begun: list[int]) -> None:
    finder = SectorFinder(None, aside=True)
    before = [finder.look(screen(number)) for number in range(3)][-1]
    after = finder.look(screen(3, WIDER))
    assert after.sector.width > before.sector.width + 60


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize("at", [10, 33, 60, 61])
def test_a_window_over_the_picture_is_looked_at_though_the_chrome_changes_too(at: int, aside: bool) -> None:
    finder = SectorFinder(None, aside=aside)
    for number in range(at):
        finder.look(screen(number))
    pixels = screen(at)
    pixels[120:260, 180:460] = 40
    cv2.putText(pixels, "MUELLER, HANS", (200, 170), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 230, 1, cv2.LINE_AA)
    cv2.putText(pixels, "WORKLIST", (10, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 230, 1, cv2.LINE_AA)
    sent = blank(pixels, finder.look(pixels))
    assert sent[121:259, 181:459].max() < 100
    assert sent[:35, :110].max() < 100


def test_a_fault_beside_the_feed_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = SectorFinder(None, aside=True)
    finder.look(screen(0))

    def broken(self: SectorFinder, pixels: NDArray[np.uint8]) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(SectorFinder, "_look", broken)
    finder.look(screen(1))
    settled(finder)
    with pytest.raises(ZeroDivisionError):
        finder.look(screen(2))
