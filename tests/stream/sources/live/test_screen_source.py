"""The screen: a real X server without a monitor (Xvfb, of Debian's xvfb), and windows opened on it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from smartca.stream.sources import is_live, open_source
from support.waiting import wait_until

pytest.importorskip("mss", reason="mss (the extra 'screen') is not installed")
xdisplay = pytest.importorskip("Xlib.display", reason="python-xlib (the extra 'screen') is not installed")
ConnectionClosedError = pytest.importorskip("Xlib.error").ConnectionClosedError
needs_x = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
RED, BLUE = 0xC80000, 0x0000C8


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """An X server of 640 x 480."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    assert number, "Xvfb did not start"
    monkeypatch.setenv("DISPLAY", f":{number}")
    monkeypatch.delenv("XAUTHORITY", raising=False)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def screen(server: subprocess.Popen[bytes]) -> Iterator[Any]:
    """A connection to the server that windows are opened by; they are closed with it."""
    connection = xdisplay.Display()
    yield connection
    with contextlib.suppress(ConnectionClosedError):  # a server that is gone
        connection.close()
    connection.display.socket.close()


def window(connection: Any, title: str, x: int, y: int, colour: int = RED, side: int = 80) -> Any:
    screen = connection.screen()
    made = screen.root.create_window(x, y, side, side, 0, screen.root_depth, background_pixel=colour)
    made.set_wm_name(title.encode("latin-1", "replace"))
    made.change_property(
        connection.intern_atom("_NET_WM_NAME"), connection.intern_atom("UTF8_STRING"), 8, title.encode()
    )
    made.map()
    connection.sync()
    return made


def colour(pixels: np.ndarray) -> list[int]:
    assert (pixels == pixels[0, 0]).all(), "the part is not of one colour"
    return pixels[0, 0].tolist()


@needs_x
def test_a_part_of_the_screen(screen: Any) -> None:
    window(screen, "scanner", 100, 50)
    with open_source("screen:100,50,80,80") as source:
        assert source.live and source.endless and source.name == "screen" and source.fps == 30
        found = list(itertools.islice(source.pictures(), 3))
    assert {picture.pixels.shape for picture in found} == {(80, 80, 3)}
    assert colour(found[-1].pixels) == [0, 0, 200]  # red is last here
    with open_source("screen: 96, 50, 8, 10") as source:
        part = next(iter(source.pictures())).pixels
    assert part[:, :4].max() == 0 and part[:, 4:, 2].min() == 200


@needs_x
def test_a_window_is_followed_and_waited_for(screen: Any) -> None:
    made = window(screen, "Ultraschall – Schulter", 10, 20)
    window(screen, "mail", 300, 300, BLUE)
    with open_source("screen:schulter") as source:
        assert source.name == "window schulter"
        stream = iter(source.pictures())
        assert colour(next(stream).pixels) == [0, 0, 200] and next(stream).pixels.shape == (80, 80, 3)
        made.configure(x=400, y=200)
        screen.sync()
        for _ in range(5):
            assert colour(next(stream).pixels) == [0, 0, 200]
        made.configure(x=600)
        screen.sync()
        with pytest.raises(ValueError, match="does not lie on the screen, which is 640 x 480"):
            wait_until(lambda: next(stream) is None)
    made.configure(x=0)
    screen.sync()
    with open_source("screen:schulter") as source:
        stream = iter(source.pictures())
        next(stream)
        made.configure(width=100, height=60)
        screen.sync()
        with pytest.raises(OSError, match="has changed its size; it is attached anew"):
            wait_until(lambda: next(stream) is None)
    with open_source("screen:schulter") as source:
        stream = iter(source.pictures())
        assert next(stream).pixels.shape == (60, 100, 3)
        made.unmap()
        screen.sync()
        with pytest.raises(OSError, match="there is no window with 'schulter' in its title"):
            wait_until(lambda: next(stream) is None)


@needs_x
def test_titles_that_fit_several_or_none(screen: Any) -> None:
    window(screen, "scan one", 0, 0)
    window(screen, "scan", 200, 0, BLUE)
    with open_source("screen:Scan") as source:  # the whole title wins
        assert colour(next(iter(source.pictures())).pixels) == [200, 0, 0]
    window(screen, "scan two", 400, 0)
    with pytest.raises(ValueError, match="3 windows have 'can' in their title; give more of it"):
        open_source("screen:can")
    with pytest.raises(OSError, match="there is no window with 'other' in its title"):
        open_source("screen:other")
    for rest in ("600,0,80,80", "-1,0,80,80", "0,0,4,80", "0,0,99999,99999"):
        with pytest.raises(ValueError, match="does not lie on the screen"):
            open_source(f"screen:{rest}")


@needs_x
@pytest.mark.parametrize("spec", ["screen:0,0,64,64", "screen:scanner"])
def test_a_screen_that_goes_away_is_told(screen: Any, server: subprocess.Popen[bytes], spec: str) -> None:
    window(screen, "scanner", 0, 0)
    assert is_live(spec)
    with open_source(spec) as source:
        stream = iter(source.pictures())
        next(stream)
        server.kill()
        with pytest.raises(OSError, match=r"can be read no more|is not to be seen|there is no window"):
            wait_until(lambda: next(stream) is None)


def test_without_a_screen_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for display in (None, ":4242"):
        monkeypatch.delenv("DISPLAY", raising=False)
        if display is not None:
            monkeypatch.setenv("DISPLAY", display)
        for spec in ("screen:0,0,64,64", "screen:scanner"):
            with pytest.raises(OSError, match="there is no screen to be read here; start smartca where"):
                open_source(spec)
    with pytest.raises(ValueError, match="names no part of the screen; write screen:0,0,1280,720"):
        open_source("screen:")


def test_clarius_is_told_the_way_round() -> None:
    with pytest.raises(ValueError, match=r"does not speak Clarius Cast.*igtl://HOST.*screen:TITLE"):
        open_source("clarius:192.168.1.1")
