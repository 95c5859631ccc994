"""Sources: every picture once, in order; what cannot be read is told in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from smartca.stream.capture import Capture
from smartca.stream.sources import Picture, Source, open_source
from smartca.stream.sources.live.camera import Camera
from support.paths import SHARED as DATA
from support.waiting import wait_until

SHAPE = (64, 96)


def write_video(path: Path, frames: int, fmt: str = "yuv420p", codec: str = "libx264", **movie: str) -> Path:
    """Frame k is grey of level 20 + 4 k, with noise so that it takes some bytes."""
    noise = np.random.default_rng(1).integers(0, 12, (frames, *SHAPE), np.uint8)
    with av.open(str(path), "w", options=movie) as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *SHAPE, fmt
        for number in range(frames):
            grey = noise[number] + np.uint8(20 + 4 * number)
            picture = av.VideoFrame.from_ndarray(grey, format="gray")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def levels(source: Source, start: int = 0) -> list[int]:
    """The numbers of the frames that `write_video` and `write_images` wrote."""
    return [round((float(picture.pixels.mean()) - 25.5) / 4) for picture in source.pictures(start)]


def test_a_video_gives_every_frame_once_and_again(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "scan.mp4", 30))) as source:
        assert (source.name, source.live, source.fps, source.count) == ("scan.mp4", False, 25.0, 30)
        assert source.sector is None and source.mm_per_pixel is None
        assert levels(source) == list(range(30))
        assert levels(source, start=12) == list(range(12, 30))
        picture = next(iter(source.pictures()))
        assert picture.pixels.shape == (*SHAPE, 3) and picture.pixels.dtype == np.uint8
        assert picture.truth is None


@pytest.mark.parametrize(("fmt", "codec"), [("gray", "ffv1"), ("gray16le", "ffv1")])
def test_a_grey_video_stays_grey(tmp_path: Path, fmt: str, codec: str) -> None:
    with open_source(str(write_video(tmp_path / "scan.mkv", 5, fmt, codec))) as source:
        assert levels(source) == list(range(5))
        assert next(iter(source.pictures())).pixels.shape == SHAPE


@pytest.mark.parametrize(
    ("clip", "count"),
    [
        ("telemed_gastroc_passive_ROM_01_push_01.mp4", 394),
        ("lus_convex_Reg_pat1Image_132943.mpeg", 280),
        ("clarius_ocular_short.mp4", 50),
    ],
)
def test_real_clips_give_exactly_their_frames(clip: str, count: int) -> None:
    if not DATA.exists():
        pytest.skip("shared/data is absent")
    with open_source(str(DATA / "clips" / clip)) as source:
        assert sum(1 for _ in source.pictures()) == count
        assert source.count in (None, count)


def test_a_video_cut_off_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "scan.mp4", 30, movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    seen: list[int] = []
    with open_source(str(path)) as source, pytest.raises(RuntimeError) as caught:
        for picture in source.pictures():
            seen.append(round((float(picture.pixels.mean()) - 25.5) / 4))
    assert seen == list(range(len(seen))) and 5 < len(seen) < 29
    assert f"only {len(seen)} of 30 frames could be read" in str(caught.value)


def test_a_video_damaged_in_the_middle_goes_on_behind_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "scan.mp4", 40, codec="mpeg4", movflags="faststart")
    content = bytearray(path.read_bytes())
    begin = content.find(b"mdat") + 4
    middle = begin + (len(content) - begin) // 2
    content[middle : middle + 9000] = b"\xff" * 9000
    path.write_bytes(content)
    seen = 0
    with open_source(str(path)) as source, pytest.raises(RuntimeError, match="damaged or cut off") as caught:
        for _ in source.pictures():
            seen += 1
    assert 10 < seen < 40 and f"only {seen} of 40 frames" in str(caught.value)


def sentence(spec: str) -> str:
    """What a person is told when `spec` is opened and read."""
    with pytest.raises((OSError, ValueError, RuntimeError)) as caught, open_source(spec) as source:
        for _ in source.pictures():
            pass
    told = str(caught.value)
    assert "\n" not in told and "Errno" not in told and len(told) < 320
    return told


def test_what_is_no_video_is_told_in_one_sentence(tmp_path: Path) -> None:
    no_end = write_video(tmp_path / "cut.mp4", 30)
    no_end.write_bytes(no_end.read_bytes()[:2000])
    (tmp_path / "text.mp4").write_text("this is no film\n" * 50)
    (tmp_path / "text.txt").write_text("this is no film\n" * 50)
    (tmp_path / "empty.mp4").touch()
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))  # type: ignore[attr-defined]
    for name in ("cut.mp4", "text.mp4", "empty.mp4"):
        assert f"{name} is not a video that can be read" in sentence(str(tmp_path / name))
    for name in ("text.txt", "sound.wav"):
        assert f"{name} holds no video" in sentence(str(tmp_path / name))
    assert "there is no file or folder" in sentence(str(tmp_path / "gone.mp4"))
    assert "there is no image in the folder" in sentence(str(tmp_path))


@pytest.mark.parametrize(
    "spec", ["", "gopher://scanner/live", "phantom:size=3", "phantom:seed=x", "phantom:seed=1,seed=2"]
)
def test_what_is_no_source_is_answered_with_the_forms(spec: str) -> None:
    assert "camera:0" in sentence(spec) and "phantom:seed=7,frames=300" in sentence(spec)


def write_images(folder: Path, count: int, name: str = "{}.png", dtype: type = np.uint8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        level = 25.5 + 4 * number
        image = np.full(SHAPE, round(level) if dtype is np.uint8 else round(level * 16), dtype)
        assert cv2.imwrite(str(folder / name.format(number)), image)


@pytest.mark.parametrize("name", ["{}.png", "{}.BMP", "scan_{}.tiff", "{}.jpg"])
def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path, name: str) -> None:
    write_images(tmp_path / "scan", 12, name)
    (tmp_path / "scan" / "notes.txt").write_text("not an image")
    with open_source(str(tmp_path / "scan")) as source:
        assert (source.name, source.count, source.live) == ("scan", 12, False)
        assert levels(source) == list(range(12))
        assert levels(source, start=10) == [10, 11]


def test_deep_images_become_8_bit_by_one_shift_for_all(tmp_path: Path) -> None:
    write_images(tmp_path, 4, dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "0.png"), np.full(SHAPE, 4095, np.uint16))  # 12 bits
    with open_source(str(tmp_path)) as source:
        pictures = [picture.pixels for picture in source.pictures()]
    assert [int(pixels.max()) for pixels in pictures] == [255, 29, 33, 37]
    assert all(pixels.dtype == np.uint8 for pixels in pictures)


def test_truth_comes_from_the_masks_folder(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 3)
    (tmp_path / "masks").mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:20, 30:50] = 2
    cv2.imwrite(str(tmp_path / "masks" / "0.png"), mask)
    cv2.imwrite(str(tmp_path / "masks" / "1.bmp"), np.dstack([mask] * 3))
    with open_source(str(tmp_path)) as source:
        truths = [picture.truth for picture in source.pictures()]
    assert truths[2] is None
    for truth in truths[:2]:
        assert truth is not None and truth.dtype == bool and np.array_equal(truth, mask > 0)
    cv2.imwrite(str(tmp_path / "masks" / "2.png"), mask[:32])
    assert "2.png has another size (96 x 32) than its picture (96 x 64)" in sentence(str(tmp_path))


def test_a_folder_with_images_takes_what_lies_in_folders_of_them(tmp_path: Path) -> None:
    for part, first in (("images/10", 2), ("images/9", 0), ("masks/9", 0)):
        write_images(tmp_path / part, 2, f"{first}{{}}.png")
    (tmp_path / "images" / "9" / "._00.png").write_bytes(b"none")
    with open_source(str(tmp_path)) as source:
        names = [path.relative_to(tmp_path / "images").as_posix() for path in source.paths]  # type: ignore[attr-defined]
        assert names == ["9/00.png", "9/01.png", "10/20.png", "10/21.png"] and source.count == 4
        assert [picture.truth is not None for picture in source.pictures()] == [True, True, False, False]
    with open_source(str(tmp_path / "images" / "9")) as source:
        assert source.count == 2


def test_a_mask_value_picks_the_truth_of_pictures_beside_their_masks(tmp_path: Path) -> None:
    write_images(tmp_path, 1)
    (tmp_path / "masks").mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[:5], mask[20:30] = 1, 2
    cv2.imwrite(str(tmp_path / "masks" / "0.png"), mask)
    for value, truth in ((None, mask > 0), (2, mask == 2)):
        with open_source(str(tmp_path), None, value) as source:
            (picture,) = source.pictures()
        assert picture.truth is not None and np.array_equal(picture.truth, truth)


def write_stack(path: Path, levels_of: range) -> None:
    pages = [Image.fromarray(np.full(SHAPE, 26 + 4 * number, np.uint8)) for number in levels_of]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def test_every_page_of_a_stack_is_a_frame(tmp_path: Path) -> None:
    write_stack(tmp_path / "0.tif", range(12))
    with open_source(str(tmp_path / "0.tif")) as source:
        assert (source.count, source.unrelated) == (12, False)  # a cine: its sector is one
        assert levels(source) == list(range(12)) and levels(source, start=9) == [9, 10, 11]
    write_stack(tmp_path / "2.tif", range(13, 15))
    Image.fromarray(np.full(SHAPE, 26 + 4 * 12, np.uint8)).save(tmp_path / "1.png")
    with open_source(str(tmp_path)) as source:
        assert (source.count, source.unrelated) == (15, True)
        assert levels(source) == list(range(15))
        for start in (3, 12, 13, 14, 15):
            assert levels(source, start) == list(range(start, 15))


def test_a_stack_cut_off_gives_the_pages_before(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif", range(12))
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(5)
        offset = image.tag_v2[273][0]  # type: ignore[attr-defined]
    (entry,) = [n for n in range(len(content) - 4) if content[n : n + 4] == offset.to_bytes(4, "little")][-1:]
    content[entry : entry + 4] = (1 << 30).to_bytes(4, "little")  # its pixels lie behind the file's end
    (tmp_path / "a.tif").write_bytes(content)
    seen: list[int] = []
    with open_source(str(tmp_path / "a.tif")) as source, pytest.raises(RuntimeError) as caught:
        for picture in source.pictures():
            seen.append(int(picture.pixels.max() - 26) // 4)
    assert seen == list(range(5)) and "5 of 12 images were read" in str(caught.value)


def test_a_folder_of_dicom_files_is_told_whatever_a_system_lays_beside_them(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / ".DS_Store").touch()
    assert "is a folder of DICOM files" in sentence(str(tmp_path))


def test_transparent_and_single_images(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.full((*SHAPE, 4), 90, np.uint8))
    with open_source(str(tmp_path / "one.png")) as source:
        (picture,) = source.pictures()
    assert picture.pixels.shape == (*SHAPE, 3) and source.name == "one.png"
    (tmp_path / "bad.png").write_text("no picture")
    assert "bad.png is no picture that can be read" in sentence(str(tmp_path / "bad.png"))


def test_a_damaged_image_in_a_folder_is_named(tmp_path: Path) -> None:
    write_images(tmp_path, 4)
    (tmp_path / "2.png").write_bytes(b"\x89PNG cut off")
    told = sentence(str(tmp_path))
    assert "2.png is no picture" in told and "2 of 4 images were read" in told


def test_the_phantom_brings_its_truth_and_its_millimetres() -> None:
    with open_source("phantom:") as source:
        assert (source.name, source.live, source.count) == ("phantom 90001", False, None)
        assert source.sector is not None and source.mm_per_pixel is not None
        pictures = source.pictures()
        first = [next(pictures) for _ in range(3)]
        assert all(picture.truth is not None and picture.truth.shape == picture.pixels.shape for picture in first)
        source.sector.check(first[0].pixels.shape)
        third = next(iter(source.pictures(start=2)))
    assert np.array_equal(third.pixels, first[2].pixels)
    with open_source("phantom:frames=5") as source:
        assert source.count == 5 and sum(1 for _ in source.pictures()) == 5


def test_the_phantom_never_ends() -> None:
    with open_source("phantom:") as source:
        again = source.cine.count  # type: ignore[attr-defined]
        first, later = (next(iter(source.pictures(start))) for start in (0, again))
    assert np.array_equal(first.pixels, later.pixels)


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert "camera 63 cannot be opened; plug it in" in sentence("camera:63")
    assert "names no camera" in sentence("camera:front")
    heard = capfd.readouterr()
    assert heard.out == "" and heard.err == ""


def test_a_camera_lost_in_mid_stream(tmp_path: Path) -> None:
    """A film that ends stands in for a cable that is pulled: the same answer from the same reader."""
    capture = cv2.VideoCapture(str(write_video(tmp_path / "scan.mp4", 6)))
    seen = 0
    with (
        Camera(capture, 0) as camera,
        pytest.raises(OSError, match=r"^camera 0 gives no more pictures; check its cable"),
    ):
        assert camera.live
        for picture in camera.pictures():
            assert picture.pixels.shape == (*SHAPE, 3)
            seen += 1
    assert seen == 6
    assert not capture.isOpened()


class Odd(Source):
    """A source that gives whatever it is told to."""

    name = "odd"
    count = 2

    def __init__(self, *given: object) -> None:
        self._given = given

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """What it was given."""
        yield from self._given[start:]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Picture(np.zeros((40, 40), np.float64)), "picture 2 of odd: the picture is a float64 array"),  # type: ignore[arg-type]
        (Picture(np.zeros((40, 40), np.bool_)), "picture 2 of odd: the picture is a bool array"),  # type: ignore[arg-type]
        (Picture(np.zeros((4, 4), np.uint8)), "too small to show anything"),
        (Picture(np.zeros((8300, 8, 3), np.uint8)), "8 x 8300 pixels is too large to be shown: 8192 pixels a side"),
        (Picture(np.zeros((8000, 8000, 3), np.uint8)), "128 MiB are the most; scale it first"),
        (Picture(np.zeros((40, 40), np.uint8), np.zeros((9, 9), np.bool_)), r"its truth is bool \(9, 9\)"),
        (np.zeros((40, 40), np.uint8), "gave a ndarray, not a Picture"),
        (None, "gave a NoneType, not a Picture"),
    ],
    ids=["float", "bool", "small", "long", "heavy", "truth", "array", "nothing"],
)
def test_what_no_viewer_could_be_shown_ends_the_feed_with_the_reason(given: object, says: str) -> None:
    good = Picture(np.zeros((40, 40), np.uint8))
    capture = Capture(Odd(good, given), None, None, 0, 7, lambda: None)
    capture.start()
    wait_until(lambda: capture.waiting())
    capture.take()
    wait_until(lambda: capture.ended)
    assert re.search(says, capture.problem)


def test_a_source_that_ends_its_process_has_not_ended_in_good_order() -> None:
    class Leaves(Odd):
        def pictures(self, start: int = 0) -> Iterator[Picture]:
            raise SystemExit(3)
            yield

    capture = Capture(Leaves(), None, None, 0, 7, lambda: None)
    capture.start()
    wait_until(lambda: capture.ended)
    assert "the source odd failed (SystemExit: 3)" in capture.problem
