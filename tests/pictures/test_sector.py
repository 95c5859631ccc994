"""Finding the picture in the scanner's screen, and blanking what lies outside it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.pictures.pixels import Sector, whole
from smartca.pictures.screen.found import blank, blank_outside
from smartca.pictures.sector import SectorFinder, find_sector, parse_crop
from smartca.stream.sources import open_source
from support.paths import SHARED as DATA


def data(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip("shared/data is absent")
    return DATA / name


def overlap(one: Sector, other: Sector) -> float:
    """Intersection over union of two boxes."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    common = max(0, width) * max(0, height)
    return common / (one.width * one.height + other.width * other.height - common)


def speckle(rows: int, columns: int) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(5).rayleigh(60, (rows, columns)), (0, 0), 1.2)
    return np.clip(noise, 0, 255).astype(np.uint8)


def screen(sector: Sector, background: int) -> np.ndarray:
    """A scanner's screen with a picture, letters above it, settings beside it and a ruler."""
    image = np.full((600, 800), background, np.uint8)
    sector.cut(image)[...] = speckle(sector.height, sector.width)
    cv2.putText(image, "NAME^PATIENT 1970-01-01", (200, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    for row in range(8):
        cv2.putText(image, f"Gn {row} dB", (700, 120 + 20 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 230, 1)
    image[100:500, 60:64] = np.linspace(255, 0, 400, dtype=np.uint8)[:, None]
    return image


@pytest.mark.parametrize("background", [0, 52])
@pytest.mark.parametrize("sector", [Sector(150, 80, 500, 440), Sector(220, 60, 300, 520)])
def test_the_picture_is_found_in_a_screen(sector: Sector, background: int) -> None:
    found = find_sector(screen(sector, background))
    assert overlap(found, sector) > 0.93
    blanked = blank_outside(screen(sector, background), found)
    assert not blanked[:45].any() and not blanked[:, 690:].any()


@pytest.mark.parametrize("pixels", [speckle(300, 400), np.zeros((300, 400), np.uint8), np.zeros((9, 9), np.uint8)])
def test_without_a_screen_or_a_picture_it_is_all_of_it(pixels: np.ndarray) -> None:
    assert find_sector(pixels) == whole(pixels.shape)


def test_fluid_that_divides_the_picture_does_not_halve_it() -> None:
    sector = Sector(150, 80, 500, 440)
    image = screen(sector, 0)
    cv2.ellipse(image, (400, 300), (45, 240), 0, 0, 360, 2, -1)
    assert overlap(find_sector(image), sector) > 0.93


@pytest.mark.parametrize("thin", [30, 36, 60])  # rows of 600
@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("narrow", [0, 120])  # on either side: a convex picture's near field
def test_a_thin_part_beyond_fluid_belongs_to_the_picture(thin: int, above: bool, narrow: int) -> None:
    sector = Sector(150, 80, 500, 440)
    image = screen(sector, 0)
    fluid = slice(80 + thin, 330) if above else slice(270, 520 - thin)
    image[fluid, 150:650] = 0
    near = slice(80, 80 + thin) if above else slice(520 - thin, 520)
    image[near, 150 : 150 + narrow] = image[near, 650 - narrow : 650] = 0
    found = find_sector(image)
    assert overlap(found, sector) > 0.93
    assert not blank_outside(image, found)[:45].any()  # the name


def test_a_block_beside_the_picture_is_not_of_it() -> None:
    sector = Sector(250, 180, 400, 400)
    image = screen(sector, 0)
    image[90:140, 20:240] = speckle(50, 220)  # to its left
    image[90:140, 560:780] = speckle(50, 220)  # over its right corner
    assert overlap(find_sector(image), sector) > 0.93


@pytest.mark.parametrize("name", ["isokinetic120", "isokinetic500", "isometric_max", "passive_ROM"])
def test_the_picture_is_found_in_a_telemed_screen(name: str) -> None:
    (clip,) = data("clips").glob(f"telemed_gastroc_{name}_*.mp4")
    with open_source(str(clip)) as source:
        pixels = next(iter(source.pictures())).pixels
    found = find_sector(pixels)
    assert overlap(found, Sector(208, 43, 730, 581)) > 0.95
    assert found.y >= 36  # below the line with the patient's name


def test_the_picture_is_found_in_philips_screens() -> None:
    for path in sorted(data("stills_msk").glob("sparq_e[2-6]*_0001.png")):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        found = find_sector(image)
        assert found != whole(image.shape) and found.y >= 60, path.name


def test_blanking_leaves_the_input_and_the_sector_alone() -> None:
    pixels = np.dstack([speckle(120, 160)] * 3)
    before, sector = pixels.copy(), Sector(20, 10, 100, 90)
    blanked = blank_outside(pixels, sector)
    assert np.array_equal(pixels, before)
    assert np.array_equal(sector.cut(blanked), sector.cut(before))
    assert np.count_nonzero(blanked) == np.count_nonzero(sector.cut(before))
    assert blank_outside(pixels, whole(pixels.shape)) is pixels
    with pytest.raises(ValueError, match="does not fit a picture of 160 x 120 pixels"):
        blank_outside(pixels, Sector(100, 10, 100, 90))


def test_the_crop_option() -> None:
    assert parse_crop("auto") is None
    assert parse_crop("120,80,640,480") == Sector(120, 80, 640, 480)
    for text in ("", "1,2,3", "a,b,c,d", "1,2,3,-4", "1,2,3,4,5", "1.5,2,3,4"):
        with pytest.raises(ValueError, match="give auto or x,y,width,height"):
            parse_crop(text)


def _speckled(rows: int, columns: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A dark screen with speckle in `box` (x, y, width, height)."""
    x, y, width, height = box
    screen = np.zeros((rows, columns), np.uint8)
    screen[y : y + height, x : x + width] = np.random.default_rng(1).integers(20, 200, (height, width))
    return screen


def test_a_feed_that_begins_dark_is_looked_at_again() -> None:
    finder = SectorFinder(None)
    dark = np.zeros((480, 640), np.uint8)
    assert finder.sector(dark) == whole(dark.shape)
    late = _speckled(480, 640, (100, 50, 400, 300))
    found = [finder.sector(late) for _ in range(20)][-1]
    assert abs(found.x - 100) < 20
    assert abs(found.height - 300) < 30


def test_the_parts_seen_at_first_are_put_together_and_then_kept() -> None:
    finder = SectorFinder(None)
    shallow, deep = (_speckled(480, 640, (100, 50, 400, height)) for height in (200, 380))
    finder.sector(shallow)
    settled = [finder.sector(deep) for _ in range(100)][-1]
    assert settled.height > 350
    assert [finder.sector(shallow) for _ in range(50)][-1] == settled


def test_a_given_sector_is_never_replaced_and_must_fit() -> None:
    given = Sector(10, 20, 100, 80)
    finder = SectorFinder(given)
    assert finder.sector(_speckled(480, 640, (100, 50, 400, 300))) == given
    with pytest.raises(ValueError, match="does not fit"):
        finder.sector(np.zeros((50, 50), np.uint8))


def test_a_feed_that_changes_its_size_is_looked_at_anew() -> None:
    finder = SectorFinder(None)
    finder.sector(_speckled(480, 640, (100, 50, 400, 300)))
    small = _speckled(120, 160, (0, 0, 160, 120))
    assert finder.sector(small) == whole(small.shape)


def test_unrelated_pictures_have_sectors_of_their_own() -> None:
    finder = SectorFinder(None, unrelated=True)
    for box in ((100, 50, 400, 300), (30, 150, 250, 250)):
        found = finder.sector(_speckled(480, 640, box))
        assert max(abs(a - b) for a, b in zip(found, box, strict=True)) < 30


def _live(path: Path, frames: int, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """A still as a feed: its speckle flickers, its chrome does not."""
    image = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
    image = image if size is None else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    rng = np.random.default_rng(0)
    flicker = (rng.normal(1, 0.15, image.shape[:2]) for _ in range(frames))
    box = find_sector(image)
    made = []
    for noise in flicker:
        one = image.copy()
        box.cut(one)[...] = np.clip(
            np.asarray(box.cut(image), float) * np.asarray(box.cut(noise), float)[:, :, None], 0, 255
        ).astype(np.uint8)
        made.append(one)
    return made


def _settled(finder: SectorFinder, frames: list[np.ndarray]) -> tuple[Sector, list[bool]]:
    """The last answer, and how sure each was."""
    found = [finder.look(one) for one in frames]
    return found[-1].sector, [one.sure for one in found]


SPARQ_3_CM, SPARQ_2_5_CM = Sector(192, 78, 536, 426), Sector(142, 80, 635, 421)


def test_less_depth_in_mid_stream_is_seen_at_once() -> None:
    finder = SectorFinder(None)
    deep, shallow = (data("stills_msk") / f"sparq_{name}_0001.png" for name in ("e02", "e03"))
    assert overlap(_settled(finder, _live(deep, 12))[0], SPARQ_3_CM) > 0.95
    found, sure = _settled(finder, _live(shallow, 10))
    assert overlap(found, SPARQ_2_5_CM) > 0.95 and all(sure)


def test_more_depth_in_mid_stream_is_seen_after_some_looks() -> None:
    finder = SectorFinder(None)
    shallow, deep = (data("stills_msk") / f"sparq_{name}_0001.png" for name in ("e03", "e02"))
    assert overlap(_settled(finder, _live(shallow, 70))[0], SPARQ_2_5_CM) > 0.95
    found, sure = _settled(finder, _live(deep, 60))
    assert overlap(found, SPARQ_3_CM) > 0.95 and all(sure)


def test_another_scanner_in_mid_stream_is_seen_at_once() -> None:
    """On one capture card, at one size."""
    finder = SectorFinder(None)
    telemed, sparq = data("stills_msk") / "tim_d4_SampleA_GM_T_1.png", data("stills_msk") / "sparq_e03_0001.png"
    assert overlap(_settled(finder, _live(telemed, 12, (800, 600)))[0], Sector(154, 38, 492, 562)) > 0.95
    assert overlap(_settled(finder, _live(sparq, 2))[0], SPARQ_2_5_CM) > 0.95


def test_a_dual_picture_is_kept_with_both_halves() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    for x in (40, 340):
        image[60:420, x : x + 260] = speckle(360, 260)[:, :, None]
    cv2.putText(image, "NAME", (303, 200), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
    found = SectorFinder(None).look(image)
    assert overlap(found.sector, Sector(40, 60, 560, 360)) > 0.98 and found.sure
    sent = blank(image, found)
    assert not sent[190:205, 303:337].any()
    assert np.count_nonzero(sent[60:420, 40:300] != image[60:420, 40:300]) <= 0.005 * 360 * 260 * 3


def test_a_fan_is_kept_and_its_corners_are_black() -> None:
    image = np.zeros((600, 800, 3), np.uint8)
    fan = np.zeros((600, 800), np.uint8)
    cv2.ellipse(fan, (400, 40), (480, 480), 0, 50, 130, 255, -1)
    image[fan > 0] = speckle(600, 800)[fan > 0, None]
    cv2.putText(image, "MUELLER 1970", (110, 80), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    found = SectorFinder(None).look(image)
    sent = blank(image, found)
    assert found.sure and not sent[60:90, 100:240].any()
    assert np.count_nonzero(sent[fan > 0] != image[fan > 0]) <= 0.01 * 3 * np.count_nonzero(fan)


def test_calipers_and_bright_bone_stay() -> None:
    image = np.repeat(speckle(480, 640)[:, :, None], 3, axis=2)
    cv2.ellipse(image, (320, 300), (150, 60), 0, 180, 360, (250, 250, 250), 5)
    image[310:, 170:470] //= 12
    for x, y in ((200, 200), (400, 210)):
        cv2.drawMarker(image, (x, y), (255, 255, 255), cv2.MARKER_CROSS, 11, 1)
    found = SectorFinder(None).look(image)
    sent = blank(image, found)
    assert found.sure and np.count_nonzero(sent != image) <= 0.005 * image.size
    assert sent[200, 200].all() and sent[241, 320].all()
