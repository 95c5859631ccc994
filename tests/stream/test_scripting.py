"""attach, serve and view as a script calls them: real sockets, a real network, all three in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import smartca
from smartca.errors import InputError, RunError
from smartca.stream.displays.contract import Display, Shown
from smartca.stream.frame import State
from smartca.stream.tally import Tally


class Notes(Display):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.closed = 0

    def show(self, shown: Shown, tally: Tally) -> None:
        self.seen.append(shown.frame.seq)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def engine(tmp_path: Path, network: Path) -> Iterator[tuple[str, str]]:
    """Where it takes frames and where it answers."""
    bind, publish = f"ipc://{tmp_path}/in", f"ipc://{tmp_path}/out"
    over = threading.Event()
    settings = {"precision": "fp32", "threads": 1, "keep": lambda: not over.is_set()}
    thread = threading.Thread(target=smartca.serve, args=(str(network), bind, publish), kwargs=settings)
    thread.start()
    yield bind, publish
    over.set()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures with a bright square."""
    (tmp_path / "pictures").mkdir()
    for number in range(5):
        picture = np.full((100, 100), 60, np.uint8)
        picture[40:70, 20 + number : 50 + number] = 250
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), picture)
    return tmp_path / "pictures"


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Begin it."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_feed_goes_through_the_engine_to_whoever_looks(engine: tuple[str, str], folder: Path) -> None:
    told: list[str] = []
    sector, notes = smartca.Sector(0, 0, 100, 100), Notes()
    feed = in_thread(lambda: told.append(smartca.attach(folder, engine[0], crop=sector, frames=4)))
    shown = list(smartca.view(engine[1], displays=[notes]))
    feed.join()
    assert told == [""] and notes.seen == [0, 1, 2, 3] and notes.closed == 1
    assert [one.frame.seq for one in shown] == notes.seen
    for one in shown:
        assert one.result.state is State.TEAR_OUTLINED and one.result.mask is not None
        assert one.result.mask[50, 35] and not one.result.mask[10, 35]


def test_an_open_source_stays_open_and_a_slow_taker_loses_nothing_of_a_file(
    engine: tuple[str, str], folder: Path
) -> None:
    with smartca.open_source(str(folder)) as source:
        feed = in_thread(lambda: smartca.attach(source, engine[0]))
        seen = []
        for shown in smartca.view(engine[1]):
            seen.append(shown.frame.seq)
            threading.Event().wait(0.4)  # longer than a lease
        feed.join()
    assert seen == [0, 1, 2, 3, 4]


def test_keep_ends_all_of_them(tmp_path: Path, folder: Path) -> None:
    asked: list[int] = []

    def keep() -> bool:
        asked.append(1)
        return len(asked) < 5

    assert list(smartca.view(f"ipc://{tmp_path}/nobody", keep=keep)) == []
    asked.clear()
    assert smartca.attach(folder, f"ipc://{tmp_path}/nobody", keep=keep) == ""


def test_a_feed_that_breaks_off_is_told_after_its_frames(engine: tuple[str, str], folder: Path) -> None:
    (folder / "2.png").write_bytes(b"nothing")
    told: list[str] = []
    feed = in_thread(lambda: told.append(smartca.attach(folder, engine[0], crop=smartca.Sector(0, 0, 100, 100))))
    seen = []
    with pytest.raises(RunError, match=r"2\.png is no picture.*2 of 5 images were read"):
        for shown in smartca.view(engine[1]):
            seen.append(shown.frame.seq)
    feed.join()
    assert seen == [0, 1] and "2 of 5 images" in told[0]


def test_an_engine_on_another_machine_must_be_known() -> None:
    with pytest.raises(InputError, match=r"not known here.*smartca keys pair 192\.0\.2\.1 CODE.*--insecure"):
        next(smartca.view("tcp://192.0.2.1:5555"))
    with pytest.raises(InputError, match=r"not known here.*smartca keys pair"):
        smartca.attach("phantom:frames=1", "tcp://192.0.2.1:5555")
