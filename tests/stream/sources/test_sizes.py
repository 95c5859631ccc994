"""A picture that nobody could be shown is refused before anything starts, whatever kind of file it is in."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from smartca.stream.capture import check_sizes
from smartca.stream.sources import open_source
from support.labelled_forms import Command, smartca

__all__ = ["smartca"]  # a fixture

TALL, LONG, TINY = (9000, 16), (16, 9000), (6, 40)
GOOD = (40, 40)


def black(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def still(place: Path, shape: tuple[int, int]) -> Path:
    assert cv2.imwrite(str(place / "a.png"), black(shape))
    return place / "a.png"


def last_of_a_folder(place: Path, shape: tuple[int, int]) -> Path:
    for name, size in (("1.png", GOOD), ("2.jpg", GOOD), ("10.bmp", shape)):
        assert cv2.imwrite(str(place / name), black(size))
    return place


def page_of_a_stack(place: Path, shape: tuple[int, int]) -> Path:
    pages = [Image.fromarray(black(size)) for size in (GOOD, shape)]
    pages[0].save(place / "a.tif", save_all=True, append_images=pages[1:])
    return place / "a.tif"


def lying_still(place: Path, shape: tuple[int, int]) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(black(shape[::-1])).save(place / "a.png", exif=exif)
    return place / "a.png"


def film(place: Path, shape: tuple[int, int]) -> Path:
    with av.open(str(place / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        assert isinstance(stream, av.VideoStream)
        (stream.height, stream.width), stream.pix_fmt = shape, "yuvj444p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(black(shape), format="gray")))
        container.mux(stream.encode(None))
    return place / "a.avi"


def dicom(place: Path, shape: tuple[int, int]) -> Path:
    meta, ds = FileMetaDataset(), Dataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.6.1")
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.file_meta, ds.Modality, (ds.Rows, ds.Columns) = meta, "US", shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation, ds.PixelData = 7, 0, bytes(shape[0] * shape[1])
    ds.save_as(place / "a.dcm", enforce_file_format=True)
    return place / "a.dcm"


def nrrd(place: Path, shape: tuple[int, int]) -> Path:
    rows, columns = shape
    head = f"NRRD0005\ntype: uint8\ndimension: 3\nsizes: {columns} {rows} 2\nencoding: raw\n\n"
    (place / "a.nrrd").write_bytes(head.encode() + bytes(2 * rows * columns))
    return place / "a.nrrd"


KINDS = (still, last_of_a_folder, page_of_a_stack, lying_still, film, dicom, nrrd)


@pytest.mark.parametrize("shape", [TALL, LONG, TINY], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_size_that_cannot_be_shown_is_known_beforehand(
    kind: Callable[[Path, tuple[int, int]], Path], shape: tuple[int, int], tmp_path: Path
) -> None:
    with (
        open_source(str(kind(tmp_path, shape))) as source,
        pytest.raises(ValueError, match=r"is too (large|small)") as no,
    ):
        check_sizes(source)
    said = str(no.value)
    assert f"a picture of {shape[1]} x {shape[0]} pixels" in said and "\n" not in said
    assert source.name in said or str(tmp_path) in said


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_other_sizes_are_shown(kind: Callable[[Path, tuple[int, int]], Path], tmp_path: Path) -> None:
    with open_source(str(kind(tmp_path, (40, 48)))) as source:
        check_sizes(source)
        assert all(min(picture.pixels.shape[:2]) == 40 for picture in source.pictures())


def test_what_is_told_is_what_comes(tmp_path: Path) -> None:
    for name, mode in (
        ("a.png", "L"),
        ("b.png", "RGB"),
        ("c.png", "P"),
        ("d.tif", "RGBA"),
        ("e.tif", "I;16"),
        ("f.png", "1"),
    ):
        Image.new(mode, (48, 40)).save(tmp_path / name)
    with open_source(str(tmp_path)) as source:
        assert [shape for _, shape in source.sizes()] == [picture.pixels.shape for picture in source.pictures()]


def test_pixels_made_square_may_be_too_many(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        (stream.height, stream.width), stream.pix_fmt = (16, 2000), "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(5, 1)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(black((16, 2000)), format="gray")))
        container.mux(stream.encode(None))
    with (
        open_source(str(tmp_path / "a.mkv")) as source,
        pytest.raises(ValueError, match="10000 x 16 pixels is too large"),
    ):
        check_sizes(source)


def test_the_commands_start_nothing(tmp_path: Path, smartca: Command) -> None:
    folder = last_of_a_folder(tmp_path, LONG)
    for command in (("run", folder, "--headless"), ("attach", folder, "--to", "tcp://127.0.0.1:1")):
        code, told = smartca(*command)
        assert code == 2 and "10.bmp: a picture of 9000 x 16 pixels is too large to be shown" in told, told
        assert "Traceback" not in told and "frames shown" not in told


def test_a_picture_of_too_many_pixels_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses to open it, whatever stands before it in the folder."""
    last_of_a_folder(tmp_path, (60, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(ValueError, match=r"10\.bmp is no picture .* it has 0\.0; scale it first"):
        open_source(str(tmp_path))
