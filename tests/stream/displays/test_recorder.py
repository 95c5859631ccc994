"""Recordings: every frame, its mask bit by bit, and films that play whatever happens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import smartca.stream.displays.film as film_module
from smartca.pictures.pixels import Mask, whole
from smartca.stream.displays.film import Film, WholeFile, fitted
from smartca.stream.displays.recorder import Recorder
from smartca.stream.displays.recording import FilmRecord, decoded_mask, frame_log_path, read_recording, runs
from smartca.stream.frame import Frame, Result, State
from support.paths import import_path
from support.waiting import wait_until

SHAPE = (96, 128)
SINCE = ("unsure", "point", "source", "sector", "mm_per_pixel", "size")  # not in the first recordings


def frame(seq: int, live: bool = False, captured_ns: int = 0, epoch: int = 1) -> Frame:
    grey = np.full(SHAPE, 40 + seq % 100, np.uint8)
    return Frame(grey, "test", epoch, seq, captured_ns, live, whole(SHAPE))


def drawn(seq: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.full((*shape, 3), 40 + seq % 100, np.uint8)


def mask(seq: int, shape: tuple[int, int] = SHAPE) -> Mask:
    return np.random.default_rng(seq).random(shape) < 0.3


def result(seq: int, shape: tuple[int, int] = SHAPE) -> Result:
    return Result(State.TEAR_OUTLINED, mask(seq, shape), 0.75, "", "3f9a1c2b77de", 5_000_000)


def film(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_every_frame_comes_back_with_its_mask(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 25.0, {"source": "test"}) as recorder:
        for seq in range(40):
            recorder.add(drawn(seq), frame(seq), result(seq), 12.5)
        recorder.add(drawn(40), frame(40), Result(State.NO_RESULT, reason="no engine"), 3.0)
    assert recorder.problem == "" and recorder.recorded() == FilmRecord("a.mp4", 41)
    pictures = film(recorder.path)
    assert [round(picture.time * 25, 6) for picture in pictures] == list(range(41))
    greys = [picture.to_ndarray(format="gray").mean() for picture in pictures]
    assert np.allclose(greys, np.arange(40, 81), atol=8)
    lines = list(read_recording(recorder.path))
    assert [line.seq for line in lines] == list(range(41))
    assert all(got.mask is not None and np.array_equal(got.mask, mask(seq)) for seq, got in enumerate(lines[:40]))
    last = lines[40]
    assert last.mask is None and last.state is State.NO_RESULT and last.reason == "no engine"
    assert lines[0].latency_ms == 12.5 and lines[0].inference_ms == 5.0


def test_unsure_regions_and_points_come_back(tmp_path: Path) -> None:
    unsure = ~mask(1) & mask(2)
    said = replace(result(1), unsure=unsure, point="searching")
    doubt = Result(State.UNSURE, np.zeros(SHAPE, bool), unsure=unsure, point="careful")
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        for seq, one in enumerate((said, doubt, result(2))):
            recorder.add(drawn(seq), frame(seq), one, 1.0)
    lines = list(read_recording(recorder.path))
    assert [(line.state, line.point) for line in lines[:2]] == [
        (State.TEAR_OUTLINED, "searching"),
        (State.UNSURE, "careful"),
    ]
    for line in lines[:2]:
        assert line.unsure is not None and np.array_equal(line.unsure, unsure)
    assert lines[2].unsure is None


def test_a_recording_of_before_is_read(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        recorder.add(drawn(0), frame(0), result(0), 1.0)
    log = frame_log_path(recorder.path)
    head, line, _ = log.read_bytes().split(b"\n")
    old = {name: value for name, value in json.loads(line).items() if name not in SINCE}
    log.write_bytes(head.replace(b"recording 2", b"recording 1") + b"\n" + json.dumps(old).encode() + b"\n")
    (got,) = read_recording(recorder.path)
    assert got.mask is not None and np.array_equal(got.mask, mask(0))
    assert (got.unsure, got.point) == (None, "")


def test_a_live_film_keeps_the_times_of_capture(tmp_path: Path) -> None:
    captured_ms = [1000, 1040, 1300, 1310]
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        for seq, ms in enumerate(captured_ms):
            recorder.add(drawn(seq), frame(seq, True, ms * 1_000_000), result(seq), 1.0)
        restarted = replace(frame(0, True, 77), epoch=2)
        recorder.add(drawn(4), restarted, result(4), 1.0)
    times = [round(picture.time * 1000) for picture in film(recorder.path)]
    assert times == [0, 40, 300, 310, 350]


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    odd = (95, 127)
    with Recorder(tmp_path / "a.mp4", None, {}) as recorder:
        recorder.add(drawn(0, odd), frame(0), result(0, odd), 1.0)
    (picture,) = film(recorder.path)
    assert (picture.height, picture.width) == (96, 128)
    assert [got.mask.shape for got in read_recording(recorder.path) if got.mask is not None] == [odd]


@pytest.mark.parametrize("kind", ["empty", "full", "corner", "random"])
def test_run_lengths_are_loss_free(kind: str) -> None:
    made = {"empty": np.zeros(SHAPE, bool), "full": np.ones(SHAPE, bool), "random": mask(1)}
    made["corner"] = np.zeros(SHAPE, bool)
    made["corner"][0, 0] = True
    coded = runs(made[kind])
    assert sum(coded["counts"]) == made[kind].size
    assert np.array_equal(decoded_mask(coded), made[kind])


def test_run_lengths_are_those_of_coco() -> None:
    two = np.array([[0, 1], [1, 1]], bool)
    assert runs(two) == {"size": [2, 2], "counts": [1, 3]}
    assert runs(~two) == {"size": [2, 2], "counts": [0, 1, 3]}


@pytest.mark.parametrize("other", [(48, 64), (200, 90), (95, 127), (97, 128), (8, 300)])
def test_a_picture_of_another_size_is_fitted_in_and_its_mask_keeps_its_size(
    tmp_path: Path, other: tuple[int, int]
) -> None:
    sizes = [SHAPE, other, SHAPE, other]
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        for seq, size in enumerate(sizes):
            recorder.add(drawn(seq, size), frame(seq), result(seq, size), 1.0)
    even = (other[0] + other[0] % 2, other[1] + other[1] % 2)
    fitted_in = 0 if even == SHAPE else 2
    assert recorder.recorded() == FilmRecord("a.mp4", 4, fitted_in)
    assert bool(recorder.recorded().note) == bool(fitted_in)
    assert [(picture.height, picture.width) for picture in film(recorder.path)] == [SHAPE] * 4
    for seq, (size, got) in enumerate(zip(sizes, read_recording(recorder.path), strict=True)):
        assert got.size == size and got.mask is not None and np.array_equal(got.mask, mask(seq, size))


def test_a_fitted_picture_keeps_its_shape_and_stands_in_the_middle() -> None:
    placed = fitted(np.full((50, 20, 3), 200, np.uint8), (100, 128))
    assert np.array_equal(np.flatnonzero(placed.any(axis=(0, 2))), np.arange(44, 84))
    assert placed.any(axis=(1, 2)).all()


def test_what_a_line_says_of_its_frame(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        recorder.add(drawn(0), replace(frame(0), mm_per_pixel=(0.1, 0.2)), result(0), 1.0)
    (got,) = read_recording(recorder.path)
    assert (got.source, got.sector, got.mm_per_pixel, got.size) == ("test", (0, 0, 128, 96), (0.1, 0.2), SHAPE)


def test_an_earlier_recording_is_never_written_over(tmp_path: Path) -> None:
    paths = []
    for seq in range(3):
        with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
            recorder.add(drawn(seq), frame(seq), result(seq), 1.0)
        paths.append(recorder.path.name)
    assert paths == ["a.mp4", "a-2.mp4", "a-3.mp4"]
    assert [line.seq for line in read_recording(tmp_path / "a.mp4")] == [0]


def test_a_missing_folder_and_a_wrong_name_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"there is no folder .*gone; make it before recording"):
        Recorder(tmp_path / "gone" / "a.mp4", 25.0, {})
    with pytest.raises(ValueError, match=r"does not end in \.mp4"):
        Recorder(tmp_path / "a.avi", 25.0, {})
    (tmp_path / "b.frames.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="no recording of this version"):
        list(read_recording(tmp_path / "b.mp4"))
    with pytest.raises(FileNotFoundError, match=r"there is no .*c\.frames\.jsonl"):
        list(read_recording(tmp_path / "c.mp4"))


def test_a_damaged_line_is_told_after_those_before_it(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        for seq in range(3):
            recorder.add(drawn(seq), frame(seq), result(seq), 1.0)
    beside = frame_log_path(recorder.path)
    lines = beside.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b'"counts":[', b'"counts":[7,')
    beside.write_bytes(b"\n".join(lines))
    read = read_recording(recorder.path)
    assert [next(read).seq, next(read).seq] == [0, 1]
    with pytest.raises(ValueError, match="damaged in line 4"):
        next(read)


CHILD = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(os.pathsep)
import test_recorder as t
recorder = t.Recorder(Path(sys.argv[1]), 25.0, {})
"""
KILLED = """
import os, signal
from support.waiting import wait_until
for seq in range(200):
    recorder.add(t.drawn(seq), t.frame(seq), t.result(seq), 1.0)
wait_until(lambda: len(list(t.read_recording(recorder.path))) >= 150)
os.kill(os.getpid(), signal.SIGKILL)
"""
FULL = """
import resource
noise = t.np.random.default_rng(0).integers(0, 255, (200, *t.SHAPE, 3), "uint8")
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
for seq in range(200):
    recorder.add(noise[seq], t.frame(seq), t.result(seq), 1.0)
recorder.close()
print(recorder.problem)
"""


def child(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD + script, str(path), import_path(__file__)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_killed_process_leaves_a_film_that_plays(tmp_path: Path) -> None:
    ended = child(KILLED, tmp_path / "a.mp4")
    assert ended.returncode == -9, ended.stderr
    written = list(read_recording(tmp_path / "a.mp4"))
    assert len(written) >= 150
    assert len(film(tmp_path / "a.mp4")) >= len(written) - 27  # a second, and what x264 still held
    assert np.array_equal(written[149].mask, mask(149))  # type: ignore[arg-type]


def test_a_cut_off_last_line_is_left_out(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        for seq in range(3):
            recorder.add(drawn(seq), frame(seq), result(seq), 1.0)
    beside = frame_log_path(recorder.path)
    beside.write_bytes(beside.read_bytes()[:-20])
    assert [line.seq for line in read_recording(str(recorder.path))] == [0, 1]


def test_a_full_disk_ends_the_recording_with_a_sentence_and_not_the_view(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the same failing write."""
    ended = child(FULL, tmp_path / "a.mp4")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("the recording a.mp4 can no longer be written (")
    assert len(ended.stdout.splitlines()) == 1
    assert len(film(tmp_path / "a.mp4")) >= 1
    assert len(list(read_recording(tmp_path / "a.mp4"))) >= 1


def test_what_a_full_disk_took_is_counted(tmp_path: Path) -> None:
    counted = FULL.replace("recorder.problem", "recorder.recorded().frames, bool(recorder.problem)")
    frames, told = child(counted, tmp_path / "a.mp4").stdout.split()
    assert told == "True" and 1 <= int(frames) < 200
    assert int(frames) == len(list(read_recording(tmp_path / "a.mp4")))


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be taken away there")
@pytest.mark.parametrize("gone", ["folder", "film", "log", "moved"])
def test_a_recording_that_is_taken_away_is_told(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    recorder = Recorder(folder / "a.mp4", 25.0, {})
    recorder.add(drawn(0), frame(0), result(0), 1.0)
    if gone == "folder":
        shutil.rmtree(folder)
    elif gone == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        (recorder.path if gone == "film" else frame_log_path(recorder.path)).unlink()
    recorder.close()
    assert "a.mp4 cannot be kept (it was moved or deleted meanwhile" in recorder.recorded().problem


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be taken away there")
def test_a_recording_that_is_taken_away_is_told_while_it_goes_on(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        recorder.path.unlink()
        for seq in range(25):
            recorder.add(drawn(seq), frame(seq), result(seq), 1.0)
        wait_until(lambda: recorder.problem)
    assert recorder.recorded().frames == 25


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be taken away there")
def test_another_recording_in_its_place_is_told(tmp_path: Path) -> None:
    first = Recorder(tmp_path / "a.mp4", 25.0, {})
    with Recorder(tmp_path / "a.mp4", 25.0, {}, replace=True) as second:
        second.add(drawn(0), frame(0), result(0), 1.0)
    first.close()
    assert first.problem and not second.problem
    assert len(film(second.path)) == 1


def test_an_encoder_that_fails_is_a_sentence_and_what_was_written_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An FFmpeg that was built without x264."""
    monkeypatch.setattr(film_module, "ENCODER", "no such encoder")
    with Recorder(tmp_path / "a.mp4", 25.0, {}) as recorder:
        recorder.add(drawn(0), frame(0), result(0), 1.0)
    assert recorder.problem.startswith("the recording a.mp4 could not be encoded (")
    assert recorder.recorded().frames == 0


def test_a_write_that_a_library_passes_over_is_found(tmp_path: Path) -> None:
    with WholeFile(tmp_path / "f") as file:
        file.failed = OSError(28, "No space left on device")
        with pytest.raises(OSError, match="No space left"):
            file.settle()


def test_a_picture_that_the_encoder_keeps_is_missed(tmp_path: Path) -> None:
    with WholeFile(tmp_path / "a.mp4") as file:
        whole_film = Film(file, 25.0)
        whole_film.add(drawn(0), False, 1, 0)
        whole_film.pictures += 1
        with pytest.raises(RuntimeError, match="gave back 1 of 2 pictures"):
            whole_film.end()
