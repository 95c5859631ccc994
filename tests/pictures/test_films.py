"""The one reader of films: pictures as players show them, whoever asks for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image, ImageOps
from smartca.pictures.films import film_head, read_film
from smartca.pictures.negatives import read_negatives
from smartca.stream.sources import open_source

ROWS, COLUMNS = 48, 80
# each corner of its own brightness, in blocks that no codec blurs
CORNERS = np.kron(np.array([[30, 30, 90], [150, 30, 220]], np.uint8), np.ones((ROWS // 2, COLUMNS // 2), np.uint8))
CORNERS = np.ascontiguousarray(CORNERS[:, : COLUMNS + 16])  # 48 x 96


def write_film(path: Path, pictures: list[np.ndarray], times: list[int] | None = None, **how: Any) -> Path:
    """Grey pictures of one size as a film, at 25 a second or at `times` in ms; `how`: turn, pixels' shape, options."""
    codec, container_options = how.get("codec", "libx264"), {"movflags": "faststart"}
    with av.open(f"file:{path}", "w", format=how.get("format"), options=container_options) as film:
        stream = film.add_stream(
            codec, rate=25, options={"crf": "4", **how.get("options", {})} if "264" in codec else {}
        )
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = how.get("pix_fmt", "yuv420p")
        if "turn" in how:
            stream.set_display_rotation(*how["turn"])
        if "width" in how:
            stream.codec_context.sample_aspect_ratio = how["width"]
        if times:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "bgr24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def greys(path: Path) -> list[np.ndarray]:
    return [picture.pixels if picture.pixels.ndim == 2 else picture.pixels[..., 1] for picture in read_film(path)]


def alike(found: np.ndarray, wanted: np.ndarray, most: float = 3.0) -> bool:
    return found.shape == wanted.shape and float(np.abs(found.astype(int) - wanted).mean()) < most


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter", range(4))
def test_a_film_stored_in_any_of_the_eight_ways_comes_upright(quarter: int, mirrored: bool, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [CORNERS] * 3, turn=(90 * quarter, mirrored))
    upright = np.rot90(CORNERS, quarter)  # against the clock, as the film says it
    upright = upright[:, ::-1] if mirrored else upright
    assert len(greys(path)) == 3 and all(alike(picture, upright) for picture in greys(path))
    assert film_head(path).shape == (*upright.shape, 3)
    (tmp_path / "negatives.csv").write_text(f"file,x,y,width,height,every\na.mp4,0,0,{upright.shape[1]},48,3\n")
    assert alike(read_negatives(tmp_path)[0], upright[:48])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("width", [Fraction(2, 1), Fraction(1, 2), Fraction(16, 15), Fraction(10, 11)])
def test_pixels_that_are_not_square_are_made_so(width: Fraction, suffix: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / f"a{suffix}", [CORNERS] * 2, width=width)
    rows, columns = CORNERS.shape
    wanted = (rows, round(columns * width)) if width > 1 else (round(rows / width), columns)
    assert all(picture.shape == wanted for picture in greys(path)) and film_head(path).shape == (*wanted, 3)
    with open_source(str(path)) as source:
        assert [picture.pixels.shape[:2] for picture in source.pictures()] == [wanted] * 2


def test_pixels_are_made_square_before_the_picture_is_turned(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [CORNERS], width=Fraction(2, 1), turn=(90,))
    assert greys(path)[0].shape == (192, 48)


@pytest.mark.parametrize("width", [Fraction(52560, 52589), Fraction(500, 1)])
def test_next_to_square_and_what_cannot_be_are_left_alone(width: Fraction, tmp_path: Path) -> None:
    assert greys(write_film(tmp_path / "a.mp4", [CORNERS], width=width))[0].shape == CORNERS.shape


def test_each_picture_keeps_its_time(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 520, 1900]
    path = write_film(tmp_path / "a.mkv", [CORNERS] * 6, times)
    assert [round((p.media_ns or 0) / 1e6) for p in read_film(path)] == times
    assert [round((p.media_ns or 0) / 1e6) for p in read_film(path, 3)] == times[3:]  # of the same clock
    assert [round((p.media_ns or 0) / 1e6) for p in read_film(path, 1, 2)] == [40, 500, 1900]
    with open_source(str(path)) as source:
        assert [round((p.media_ns or 0) / 1e6) for p in source.pictures()] == times


def moving_bar(count: int) -> list[np.ndarray]:
    """A white bar that moves by 8 pixels from field to field, 2 fields a picture."""
    fields = []
    for number in range(2 * count):
        field = np.full((64, 192), 40, np.uint8)
        field[8:56, 16 + 4 * number : 40 + 4 * number] = 220
        fields.append(field)
    woven = [fields[2 * n].copy() for n in range(count)]
    for number, picture in enumerate(woven):
        picture[1::2] = fields[2 * number + 1][1::2]
    return woven


def combs(picture: np.ndarray) -> float:
    """How much every other line differs from its neighbours."""
    lines = picture.astype(int)
    return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())


def test_interlaced_pictures_lose_their_combs_and_none_is_lost(tmp_path: Path) -> None:
    woven = moving_bar(16)
    combed = write_film(tmp_path / "a.mkv", woven, codec="mpeg2video", format="matroska")
    plain = greys(combed)
    assert combs(plain[8]) > 8  # not said to be interlaced
    path = write_film(tmp_path / "b.mp4", woven, options={"x264-params": "interlaced=1:tff=1"})
    found = greys(path)
    assert len(found) == 16 and all(picture.shape == (64, 192) for picture in found)
    assert max(map(combs, found[1:-1])) < combs(plain[8]) / 2
    assert [round((p.media_ns or 0) / 1e6) for p in read_film(path)] == [40 * n for n in range(16)]
    bars = [int(np.flatnonzero(picture[32] > 130)[0]) for picture in found]
    assert bars == sorted(bars) and bars[-1] - bars[0] >= 110  # each at its own place


ODD_NAMES = (
    "20240105T12:30:05.mp4", "http:scan.mp4", "concat:a|b.mp4", "file:x.mp4", "scan%03d.mp4", "100%.mp4", "-scan.mp4",
    "two words.mp4", "camera:0.mp4", "phantom:seed=7.mp4", "scan[1]*?.mp4", "größe.mp4", "a,b;c'd.mp4", "pipe:.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_film(tmp_path / "a.mp4", [CORNERS] * 3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for spec in (name, f"./{name}", str(tmp_path / name)):
        with open_source(spec) as source:
            assert source.count == 3 and sum(1 for _ in source.pictures()) == 3


def test_a_numbered_picture_is_no_pattern(tmp_path: Path) -> None:
    """Kinds of pictures that FFmpeg reads for us: % is no number, and its neighbours are not its next frames."""
    for name in ("scan%03d.ppm", "scan001.ppm", "scan002.ppm"):
        Image.fromarray(np.dstack([CORNERS] * 3)).save(tmp_path / name)
    for name in ("scan%03d.ppm", "scan001.ppm"):
        assert len(greys(tmp_path / name)) == 1


def sentence(path: Path) -> str:
    with pytest.raises((OSError, ValueError, RuntimeError)) as caught:
        list(read_film(path))
    told = str(caught.value)
    assert path.name in told and "\n" not in told and len(told) < 320, told
    return told


def test_each_cause_has_its_own_sentence_and_cure(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mp4", [CORNERS] * 20).read_bytes()
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    contents = {
        "empty.mp4": (b"", "(it is empty, 0 bytes); copy it again"),
        "zeros.mp4": (bytes(4000), "nothing but zeros"),
        "page.mp4": (b"\n<!DOCTYPE html><html>log in</html>", "it is a web page"),
        "lfs.mp4": (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        "._a.mp4": (b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100), "give the file without ._ in its name"),
        "report.mp4": (b"%PDF-1.7 ...", "it is a PDF document"),
        "films.mp4": (b"PK\3\4....", "unpack it first"),
        "phone.mp4": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC or AVIF picture"),
        "other.mp4": (np.random.default_rng(0).bytes(5000), "if it is one, copy it again, or convert it to .mp4"),
        "cut.mp4": (whole[:24] + b"\0\0\0\0mdat" + whole[200:900], "cut off before its end was written"),
        "start.mp4": (whole[:200], "cut off before its end was written"),
        "half.mp4": (whole[: len(whole) * 2 // 3], "damaged or cut off"),
    }
    for name, (content, told) in contents.items():
        (tmp_path / name).write_bytes(content)
        assert told in sentence(tmp_path / name), name
    assert "is a folder" in sentence(tmp_path) and "there is no file" in sentence(tmp_path / "gone.mp4")
    assert len({sentence(tmp_path / name).partition(" ")[2] for name in contents}) == len(contents) - 1  # start, cut


def test_a_codec_that_nobody_knows(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [CORNERS] * 3)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    assert "is of a kind that FFmpeg cannot decode here; convert it" in sentence(path)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no permissions of this kind")
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_may_not_be_read_says_so() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        folder.chmod(0o755)
        write_film(folder / "a.mp4", [CORNERS] * 3).chmod(0)
        Image.fromarray(CORNERS).save(folder / "a.png")
        (folder / "a.png").chmod(0)
        with as_nobody():
            assert "may not be read; check its permissions" in sentence(folder / "a.mp4")
            with pytest.raises(OSError, match=r"a\.png may not be read; check its permissions"):
                open_source(str(folder / "a.png"))


def bundled(path: Path, *parts: tuple[Path, Disposition]) -> Path:
    """Streams of several files in one."""
    with av.open(str(path), "w") as out:
        opened = [av.open(str(part)) for part, _ in parts]
        streams = [out.add_stream_from_template(part.streams.video[0]) for part in opened]
        for stream, (_, said) in zip(streams, parts, strict=True):
            stream.disposition = said
        for part, stream in zip(opened, streams, strict=True):
            for packet in part.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
            part.close()
    return path


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    """Neither that of a song, nor that which stands beside a film in its file."""
    film = write_film(tmp_path / "film.mp4", [CORNERS] * 4), Disposition.default
    lone = write_film(tmp_path / "cover.avi", [CORNERS[::-1].copy()], codec="mjpeg", pix_fmt="yuvj420p")
    cover = lone, Disposition.attached_pic
    for path in (
        bundled(tmp_path / "before.mkv", (lone, Disposition(0)), film),  # where only the film is said to be played
        bundled(tmp_path / "before.mp4", cover, film),
        bundled(tmp_path / "behind.mp4", film, cover),
    ):
        assert len(greys(path)) == 4 and alike(greys(path)[0], CORNERS), path.name
    assert "holds no video" in sentence(bundled(tmp_path / "alone.mp4", cover))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_inside_a_film(orientation: int, tmp_path: Path) -> None:
    """Which cameras write into each picture of a motion JPEG, and PyAV has no name for."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(CORNERS).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (tmp_path / "a.mjpeg").write_bytes((tmp_path / "a.jpg").read_bytes() * 3)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg")))
    assert len(greys(tmp_path / "a.mjpeg")) == 3 and alike(greys(tmp_path / "a.mjpeg")[0], upright)
