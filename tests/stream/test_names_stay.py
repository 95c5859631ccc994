"""No name leaves the scanner's machine: the attaching process itself, over a real socket, with made-up screens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.pictures.pixels import Sector
from smartca.stream.attach import AttachSettings, attach
from smartca.stream.displays.overlay import draw_overlay
from smartca.stream.displays.recorder import Recorder
from smartca.stream.link.wire import Reply
from smartca.stream.sources import Picture, Source
from support.screens import FONTS, NAME, NUMBER, Screen, readable, screen, speckle
from support.serving import Serving, Viewer
from support.waiting import join

PICTURE = Sector(150, 110, 500, 440)
UNREADABLE = 0.05  # of the letters' stretches may look like letters by chance
Inks = list[tuple[int, int | tuple[int, int, int]]]
INKS: Inks = [(0, 255), (0, (80, 200, 255)), (0, 110), (52, 235), (215, 0), (255, 110)]  # chrome, letters


class Screens(Source):
    """A scanner whose screens are given."""

    name = "a scanner"

    def __init__(self, screens: list[Screen]) -> None:
        self.screens = screens

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        yield from (Picture(one.pixels) for one in self.screens[start:])


def sent(serving: Serving, screens: list[Screen], settings: AttachSettings | None = None) -> list[Reply]:
    """Frames of `screens` as a viewer gets them, through attach and serve: all, but where a busy machine lost some."""
    answers: list[Reply] = []
    for _ in range(3):
        answers = _sent_once(serving, screens, settings or AttachSettings())
        if len(answers) > 0.7 * len(screens):
            return answers
    raise AssertionError(f"{len(answers)} of {len(screens)} frames have come")


def _sent_once(serving: Serving, screens: list[Screen], settings: AttachSettings) -> list[Reply]:
    viewer = Viewer(serving, time.time_ns())
    feed = Screens(screens), serving.bind, settings, lambda _: True
    thread = threading.Thread(target=attach, args=feed, daemon=True)
    thread.start()
    while thread.is_alive() and len(viewer.answers) < len(screens):
        viewer.pump(1)
    until = time.monotonic() + 5
    while len(viewer.answers) < len(screens) and time.monotonic() < until:
        viewer.pump(1)
    join(thread)
    return viewer.answers


def named(pixels: NDArray[np.uint8], ink: int | tuple[int, int, int], height: int = 14) -> Screen:
    """A screen with a name, a number and a birthday above the picture, in three kinds of letters."""
    one = Screen(pixels)
    one.write(NAME, (20, 8), height, ink, FONTS[0])
    one.write(NUMBER, (450, 8), height, ink, FONTS[1])
    one.write("1970-01-01 F", (20, 54), height, ink, FONTS[2])
    return one


def nothing(seed: int, chrome: int, ink: int | tuple[int, int, int]) -> Screen:
    """No picture at all: a form with names."""
    one = named(screen(None, chrome=chrome).pixels, ink)
    for row in range(12):
        one.write(f"{NAME} {seed}", (60, 130 + 32 * row), 10 + row, ink, FONTS[row % 3])
    return one


def tissue(seed: int, chrome: int, ink: int | tuple[int, int, int]) -> Screen:
    """A picture in a screen."""
    return named(screen(PICTURE, chrome=chrome, seed=seed).pixels, ink)


def in_the_air(seed: int, chrome: int, ink: int | tuple[int, int, int]) -> Screen:
    """The probe's own ringing and nothing below it."""
    one = screen(None, chrome=chrome)
    one.pixels[110:140, 150:650] = (speckle(30, 500, seed) // 2)[:, :, None]
    return named(one.pixels, ink)


def headed(seed: int, chrome: int, ink: int | tuple[int, int, int]) -> Screen:
    """Lines of letters within the picture's box: a header between two parts, and beside a narrower one."""
    one = screen(PICTURE, chrome=chrome, seed=seed)
    one.pixels[110:300, 150:360] = one.pixels[110:300, 640:650] = chrome
    one = named(one.pixels, ink)
    one.write(NAME, (160, 130), 14, ink, FONTS[0])
    one.write(NUMBER, (160, 170), 12, ink, FONTS[2])
    return one


def listed(seed: int, chrome: int, ink: int | tuple[int, int, int]) -> Screen:
    """A worklist: a page full of names."""
    one = screen(None, chrome=chrome)
    for row in range(28):
        one.write(f"{NAME} {seed + row}", (20, 20 + 20 * row), 11, ink, FONTS[row % 3])
        one.write(f"{NUMBER}{row}  1970-0{row % 9 + 1}-11", (420, 20 + 20 * row), 11, ink, FONTS[row % 3])
    return one


@pytest.mark.parametrize("make", [nothing, tissue, in_the_air, headed, listed])
@pytest.mark.parametrize("chrome, ink", INKS)
def test_no_frame_that_arrives_can_be_read(
    serving: Serving, make: Callable[..., Screen], chrome: int, ink: int | tuple[int, int, int]
) -> None:
    screens = [make(seed, chrome, ink) for seed in range(4)]
    assert all(readable(one, one.pixels) > 0.9 for one in screens)
    answers = sent(serving, screens)
    assert max(readable(screens[one.frame.seq], one.frame.pixels) for one in answers) <= UNREADABLE
    if make is tissue:
        found = answers[0].frame
        assert found.sector_sure and max(abs(a - b) for a, b in zip(found.sector, PICTURE, strict=True)) <= 4
        inside = found.sector.cut(found.pixels)
        assert np.count_nonzero(inside != found.sector.cut(screens[0].pixels)) <= 0.005 * inside.size
    if make in (nothing, listed):
        assert not any(one.frame.sector_sure for one in answers)


@pytest.mark.parametrize("quality", [90, 60])
def test_nor_can_one_that_came_compressed(serving: Serving, quality: int) -> None:
    screens = []
    for seed, make in enumerate((nothing, tissue, in_the_air, listed) * 2):
        one = make(seed, (0, 52)[seed // 4], 255)
        bytes_ = cv2.imencode(".jpg", one.pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        screens.append(Screen(np.asarray(cv2.imdecode(bytes_, cv2.IMREAD_COLOR), np.uint8), one.letters))
    for answer in sent(serving, screens):
        assert readable(screens[answer.frame.seq], answer.frame.pixels) <= 2 * UNREADABLE


def test_a_feed_goes_through_everything_and_its_recording_holds_no_name(serving: Serving, tmp_path: Path) -> None:
    """The probe in the air, tissue, a worklist in between, another size, another layout."""
    way = [in_the_air] * 4 + [tissue] * 12 + [listed] * 3 + [tissue] * 4 + [headed] * 4 + [nothing] * 3
    screens = [make(seed, 0, 255) for seed, make in enumerate(way)]
    small = named(screen(Sector(90, 110, 400, 320), (480, 640), 52, seed=7).pixels, 235)
    screens += [small, small, *(tissue(seed, 215, 0) for seed in range(4))]
    answers = sent(serving, screens)
    worst = [readable(screens[one.frame.seq], one.frame.pixels) for one in answers]
    assert max(worst) <= UNREADABLE, worst
    sure = {one.frame.seq: one.frame.sector_sure for one in answers}
    assert all(sure.get(seq, True) for seq in (*range(4, 16), *range(19, 23)))
    assert not any(sure.get(seq, False) for seq in range(16, 19))

    kept = 0
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        for one in answers[:20]:
            result = one.result
            drawn = draw_overlay(one.frame.pixels, result.mask, result.state, result.reason, result.unsure)
            recorder.add(drawn, one.frame, result, 1.0)
            kept += 1
    with av.open(str(tmp_path / "a.mp4")) as container:
        films = [picture.to_ndarray(format="bgr24") for picture in container.decode(video=0)]
    assert len(films) == kept
    for shown, answer in zip(films, answers, strict=False):
        below = Screen(
            screens[answer.frame.seq].pixels, screens[answer.frame.seq].letters[2:]
        )  # a state is drawn on top
        assert readable(below, np.asarray(shown, np.uint8)) <= UNREADABLE


def test_a_name_that_appears_in_a_plain_part_of_the_picture_is_seen_at_once(serving: Serving) -> None:
    """Fluid, or a dark deep field, is as plain as chrome."""
    screens = []
    for seed in range(30):
        one = screen(PICTURE, seed=seed)
        cv2.ellipse(one.pixels, (400, 330), (180, 130), 0, 0, 360, (0, 0, 0), -1)
        one = named(one.pixels, 255)
        if seed >= 20:
            one.write(NAME, (290, 320), 18, 230, FONTS[0])
        screens.append(one)
    for answer in sent(serving, screens):
        assert readable(screens[answer.frame.seq], answer.frame.pixels) <= UNREADABLE


def test_who_keeps_the_screen_keeps_it(serving: Serving) -> None:
    screens = [tissue(0, 0, 255)]
    (answer,) = sent(serving, screens, AttachSettings(blank=False))
    assert np.array_equal(answer.frame.pixels, screens[0].pixels)
