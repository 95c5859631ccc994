"""What lies about in a hospital's folder: each is read right, or one sentence says what it is and what to do."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from smartca.pictures.stills import read_grey
from smartca.stream.sources import open_source
from support.dicom_files import dataset, pictures, written

GREY = np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))
GREY[:8, :8] = 255
COLOURS = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)
VOLUME = np.stack([np.roll(GREY, shift, 0) for shift in range(3)])
NO_TEXT = os.fsdecode(b"Schulter_\xfc")  # as a system of old encoded it


def read(path: Path | str) -> list[np.ndarray]:
    with open_source(path) as source:
        return [picture.pixels for picture in source.pictures()]


def sentence(path: Path | str) -> str:
    with pytest.raises((OSError, ValueError, RuntimeError)) as caught:
        read(path)
    told = str(caught.value)
    assert told.isprintable() and told.encode() and len(told) < 400
    return told


def film(path: Path, frames: int = 5, codec: str = "libx264", times: list[int] | None = None, **how: Any) -> Path:
    """Frame k is grey of level 40 + 10 k."""
    rows, columns = how.pop("shape", (64, 96))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=how.pop("options", {}))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = rows, columns, how.get("fmt", "yuv420p")
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((rows, columns), 40 + 10 * number, np.uint8), format="gray")
            frame.pts = times[number] if times else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def as_filmed(path: Path, frames: int = 5) -> bool:
    found = read(path)
    near = [abs(float(image.mean()) - 40 - 10 * number) < 3 for number, image in enumerate(found)]
    return len(found) == frames and all(near)


NAMES = [
    "left shoulder 1",
    "10:32:05",
    "Schürze",
    "Schu\u0308rze",
    "two\nlines",
    "100%",
    "a %d b",
    "-x",
    "[1]",
    "a'b\"c",
    NO_TEXT,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(GREY).save(f"{name}.png")
    for spec in (f"{name}.png", tmp_path / f"{name}.png", "."):
        with open_source(spec) as source:
            assert source.name.isprintable() and source.name.encode() is not None
            assert np.array_equal(next(iter(source.pictures())).pixels, GREY)
    film(tmp_path / "film.mp4").rename(f"{name}.mp4")
    assert as_filmed(Path(f"{name}.mp4"))
    written(tmp_path / "a.dcm", dataset(pictures(2))).rename(f"{name}.dcm")
    assert np.array_equal(np.stack(read(f"{name}.dcm")), pictures(2))
    for suffix in (".png", ".mp4", ".dcm", ".nrrd", ".mha"):
        Path(f"{name}{suffix}").write_bytes(b"not what it says" * 40)
        sentence(f"{name}{suffix}")


@pytest.mark.parametrize("suffix", [".PNG", ".Jpg", ".TIFF", ".MP4", ".DCM", ".IMA", ".NRRD", ".MHA"])
def test_suffixes_in_capitals(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix.lower()}"
    if suffix == ".MP4":
        film(path)
    elif suffix in (".DCM", ".IMA"):
        written(path, dataset(pictures(5)))
    elif suffix == ".NRRD":
        path.write_bytes(b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 96 64 3\nencoding: raw\n\n" + VOLUME.tobytes())
    elif suffix == ".MHA":
        head = "NDims = 3\nDimSize = 96 64 3\nElementType = MET_UCHAR\nCompressedData = True\nElementDataFile = LOCAL\n"
        path.write_bytes(head.encode() + zlib.compress(VOLUME.tobytes()))
    else:
        Image.fromarray(GREY).save(path)
    path = path.rename(tmp_path / f"a{suffix}")
    assert len(read(path)) == {".MP4": 5, ".DCM": 5, ".IMA": 5, ".NRRD": 3, ".MHA": 3}.get(suffix, 1)


@pytest.mark.timeout(30)  # whoever opens a pipe waits until somebody writes
@pytest.mark.parametrize("name", ["a.png", "a.mp4", "a.dcm", "a.nrrd", "a"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    assert "is no file but a pipe or a device; save what it gives" in sentence(tmp_path / name)
    if name == "a.png":
        with pytest.raises(OSError, match="is no file but a pipe"):
            read_grey(tmp_path / name)
    Image.fromarray(GREY).save(tmp_path / "b.png")
    assert len(read(tmp_path)) == 1  # beside it in a folder


def test_a_device(tmp_path: Path) -> None:
    assert "is no file but a pipe or a device" in sentence("/dev/null")


def test_links(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for name, goal in (("good.png", "a.png"), ("loop.png", "loop.png"), ("gone.mp4", "nowhere.mp4"), ("again", ".")):
        (tmp_path / name).symlink_to(goal)
    assert np.array_equal(read(tmp_path / "good.png")[0], GREY)
    for name in ("loop.png", "gone.mp4"):
        assert f"{name} is a link to what is not there; copy the file itself" in sentence(tmp_path / name)
    assert len(read(tmp_path)) == 2 and len(read(tmp_path / "again" / "again")) == 2


def test_a_folder_named_as_a_picture_and_what_else_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    for name in ("notes.txt", "Thumbs.db", ".hidden.png", "report.pdf"):
        (tmp_path / name).write_bytes(b"x")
    Image.fromarray(GREY).save(tmp_path / "2.png")
    assert len(read(tmp_path)) == 1
    assert "there is no image in the folder" in sentence(tmp_path / "x.png")


def test_a_folder_of_patients_folders_says_which_to_give(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        (tmp_path / patient).mkdir()
        Image.fromarray(GREY).save(tmp_path / patient / "1.jpg")
    assert sentence(tmp_path).endswith(f"give a folder in it, such as {tmp_path / 'p1'}")


def test_a_name_that_no_disk_has() -> None:
    assert "cannot be looked for (File name too long)" in sentence("x" * 300 + ".png")
    assert "there is no file or folder a?b" in sentence("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="who is root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    for name in ("a.png", "a.mp4", "a.dcm", "a.nrrd"):
        Image.fromarray(GREY).save(tmp_path / name, "PNG")
        (tmp_path / name).chmod(0)
        assert "check its permissions" in sentence(tmp_path / name)


@pytest.mark.parametrize("name", ["a", "a.jfif", "a.jpe", "scan.jpg.tmp", "a.mp4", "1.2.840.113619"])
def test_a_still_under_any_name_lies_as_it_says(name: str, tmp_path: Path) -> None:
    """FFmpeg would read it as well, but lying."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with (tmp_path / name).open("wb") as file:
        Image.fromarray(np.ascontiguousarray(np.rot90(GREY))).save(file, "JPEG", quality=98, exif=exif)
    (image,) = read(tmp_path / name)
    assert image.shape == GREY.shape and np.abs(image.astype(int) - GREY).mean() < 2


def test_a_file_under_the_wrong_suffix(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.dcm").write_bytes((tmp_path / "a.png").read_bytes())
    film(tmp_path / "b.mp4").rename(tmp_path / "b.dcm")
    assert "is not a DICOM file (it is a PNG)" in sentence(tmp_path / "a.dcm")
    assert "is not a DICOM file (it is an MP4)" in sentence(tmp_path / "b.dcm")
    written(tmp_path / "c.mp4", dataset(pictures(2)))
    assert len(read(tmp_path / "c.mp4")) == 2


def nifti(path: Path) -> None:
    head = bytearray(352)
    head[:4], head[344:348] = (348).to_bytes(4, "little"), b"n+1\0"
    path.write_bytes(bytes(head) + VOLUME.tobytes())


OTHERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a.nii": (nifti, "it is a NIfTI file"),
    "a.nii.gz": (lambda path: path.write_bytes(gzip.compress(b"x" * 400)), "a packed archive"),
    "a.mat": (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200)), "an array of numbers"),
    "a.raw": (lambda path: path.write_bytes(VOLUME.tobytes()), "give the .mhd or .nhdr beside it"),
    "a.svg": (lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"), "a text of marks"),
    "a.docx": (lambda path: path.write_bytes(b"PK\3\4" + bytes(99)), "a packed archive"),
    "a.csv": (lambda path: path.write_text("file,split\n"), "is not a video"),
    "DICOMDIR": (lambda path: path.touch(), "it is empty, 0 bytes"),
    "empty.nrrd": (lambda path: path.touch(), "it is empty, 0 bytes"),
    "empty.mha": (lambda path: path.touch(), "it is empty, 0 bytes"),
    "empty.png": (lambda path: path.touch(), "it is empty, 0 bytes"),
    "empty.mp4": (lambda path: path.touch(), "it is empty, 0 bytes"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_picture_is_named(name: str, tmp_path: Path) -> None:
    write, told = OTHERS[name]
    write(tmp_path / name)
    assert told in sentence(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("odd.mkv", {"shape": (63, 95), "fmt": "yuv444p"}),
        ("a.avi", {"codec": "mjpeg", "fmt": "yuvj420p"}),
        ("raw.avi", {"codec": "rawvideo", "fmt": "bgr24"}),
        ("grey.avi", {"codec": "rawvideo", "fmt": "gray"}),
        ("deep.mkv", {"codec": "ffv1", "fmt": "gray16le"}),
        ("a.mov", {"codec": "png", "fmt": "rgb24"}),
        ("alpha.mov", {"codec": "qtrle", "fmt": "argb"}),
        ("a.wmv", {"codec": "wmv2"}),
        ("a.ts", {"codec": "mpeg2video"}),
        ("a.mpg", {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}}),
        ("a.webm", {"codec": "libvpx-vp9"}),
    ],
)
def test_films_of_many_kinds(name: str, how: dict[str, Any], tmp_path: Path) -> None:
    path = film(tmp_path / name, **how)
    assert as_filmed(path) and read(path)[0].shape[:2] == how.get("shape", (64, 96))


def test_a_film_of_one_frame_one_of_uneven_pace_and_one_of_sound(tmp_path: Path) -> None:
    assert as_filmed(film(tmp_path / "one.mp4", frames=1), 1)
    with open_source(film(tmp_path / "uneven.mkv", times=[0, 1, 5, 6, 20])) as source:
        assert [picture.media_ns for picture in source.pictures()] == [n * 40_000_000 for n in (0, 1, 5, 6, 20)]
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux([*stream.encode(sound), *stream.encode(None)])  # type: ignore[attr-defined]
    assert "sound.mp4 holds no video" in sentence(tmp_path / "sound.mp4")
