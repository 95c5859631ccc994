"""DICOM files whose header and pixels disagree: the pixels are right, or it is said, and nothing is shown as if."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)
from smartca.stream.sources import open_source
from support.dicom_files import COLUMNS, ROWS, dataset, pictures, read, sentence, written
from support.labelled_forms import Command, smartca

__all__ = ["smartca"]  # a fixture

PAINT = (200, 120, 40)  # R, G, B
YBR = ("YBR_FULL", "YBR_FULL_422")


def painted(frames: int = 1) -> np.ndarray:
    return np.tile(np.array(PAINT, np.uint8), (frames, ROWS, COLUMNS, 1))


def packed(ds: Dataset, frames: list[bytes], syntax: str, **more: Any) -> Dataset:
    """`ds` with these compressed frames."""
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.PixelData = encapsulate(frames, **more)
    ds["PixelData"].is_undefined_length = True
    return ds


def jpeg(pixels: np.ndarray, **how: Any) -> bytes:
    store = io.BytesIO()
    Image.fromarray(pixels).save(store, "JPEG", quality=98, **how)
    return store.getvalue()


def jpeg2000(pixels: np.ndarray, **how: Any) -> bytes:
    store = io.BytesIO()
    Image.fromarray(pixels).save(store, "JPEG2000", **how)
    return store.getvalue()


def without_markers(content: bytes) -> bytes:
    """A JPEG that does not say what its channels are, as some toolkits write them."""
    return content[:2] + content[content.index(b"\xff\xdb") :]


def in_luma(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


def as_painted(image: np.ndarray) -> bool:
    return bool(np.abs(image[..., ::-1].astype(int) - PAINT).max() <= 3)


FRAMES = {
    "JPEG": (JPEGBaseline8Bit, jpeg(painted()[0])),
    "JPEG of half chromas": (JPEGBaseline8Bit, jpeg(painted()[0], subsampling="4:2:2")),
    "half chromas, nothing said": (JPEGBaseline8Bit, without_markers(jpeg(painted()[0], subsampling="4:2:0"))),
    "JPEG of RGB": (JPEGBaseline8Bit, jpeg(painted()[0], keep_rgb=True)),
    "JPEG 2000, transformed": (JPEG2000Lossless, jpeg2000(painted()[0], no_jp2=True, mct=1)),
    "JP2, transformed": (JPEG2000, jpeg2000(painted()[0], mct=1)),
    "JP2 of lumas": (JPEG2000, jpeg2000(np.asarray(painted()[0]), mct=0)),
}


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "MONOCHROME2"])
@pytest.mark.parametrize("form", [form for form in FRAMES if form != "JP2 of lumas"])
def test_the_codestream_knows_its_colours(form: str, kind: str, tmp_path: Path) -> None:
    syntax, frame = FRAMES[form]
    (image,) = read(written(tmp_path / "a.dcm", packed(dataset(painted(), kind), [frame], syntax)))
    assert as_painted(image), image[0, 0]


@pytest.mark.parametrize("kind", ["RGB", *YBR])
def test_where_the_codestream_says_nothing_the_header_decides(kind: str, tmp_path: Path) -> None:
    stored = painted()[0] if kind == "RGB" else in_luma(painted()[0])
    plain = without_markers(jpeg(stored, keep_rgb=True)).replace(b"R\x11\0G\x11\0B\x11\0", b"\1\x11\0\2\x11\0\3\x11\0")
    plain = plain.replace(b"R\0G\0B\0", b"\1\0\2\0\3\0")
    for syntax, frame in ((JPEGBaseline8Bit, plain), (JPEG2000Lossless, jpeg2000(stored, no_jp2=True, mct=0))):
        (image,) = read(written(tmp_path / "a.dcm", packed(dataset(painted(), kind), [frame], syntax)))
        assert as_painted(image), (syntax, image[0, 0])


def test_a_jpeg_2000_of_lumas_that_says_so(tmp_path: Path) -> None:
    store = io.BytesIO()
    Image.fromarray(painted()[0]).convert("YCbCr").save(store, "JPEG2000")
    for kind in ("RGB", *YBR):
        (image,) = read(written(tmp_path / "a.dcm", packed(dataset(painted(), kind), [store.getvalue()], JPEG2000)))
        assert as_painted(image), (kind, image[0, 0])


def test_greys_in_a_file_of_colours_and_colours_in_one_of_greys(tmp_path: Path) -> None:
    grey = packed(dataset(painted(), "YBR_FULL_422"), [jpeg(pictures()[0])], JPEGBaseline8Bit)
    (image,) = read(written(tmp_path / "a.dcm", grey))
    assert image.shape == (ROWS, COLUMNS) and np.abs(image.astype(int) - pictures()[0]).max() < 20
    colours = packed(dataset(pictures(), "MONOCHROME1"), [jpeg(painted()[0])], JPEGBaseline8Bit)
    assert as_painted(read(written(tmp_path / "b.dcm", colours))[0])


@pytest.mark.parametrize("said", [JPEG2000Lossless, RLELossless, ExplicitVRLittleEndian])
def test_another_compression_than_the_header_says(said: str, tmp_path: Path) -> None:
    ds = packed(dataset(painted(2), "RGB"), [jpeg(painted()[0])] * 2, JPEGBaseline8Bit)
    path = written(tmp_path / "a.dcm", ds)
    old, new = (f"{uid}".ljust(22, "\0").encode() for uid in (JPEGBaseline8Bit, said))
    path.write_bytes(path.read_bytes().replace(old, new[:22]))
    assert [as_painted(image) for image in read(path)] == [True, True]


def test_another_size_than_the_header_says(tmp_path: Path) -> None:
    ds = packed(dataset(painted(), "RGB"), [jpeg(painted()[0][:30])], JPEGBaseline8Bit)
    assert f"header says {COLUMNS} x {ROWS} pixels, but they are 64 x 30" in sentence(written(tmp_path / "a.dcm", ds))
    plain = dataset(pictures(3), Columns=COLUMNS - 3)
    assert "but it has 7680; export it again" in sentence(written(tmp_path / "b.dcm", plain))


def test_twelve_bits_of_jpeg_are_named_with_the_cure(tmp_path: Path, smartca: Command) -> None:
    shutil.copy(Path(pydicom.__file__).parent / "data" / "test_files" / "JPGExtended.dcm", tmp_path / "a.dcm")
    code, told = smartca("run", tmp_path / "a.dcm", "--headless")
    assert code == 2 and "compressed as JPEG Extended with 12 bits" in told and "gdcmconv --raw" in told, told
    assert "damaged" not in told
    eight = packed(dataset(painted(), "RGB"), [jpeg(painted()[0]).replace(b"\xff\xc0", b"\xff\xc1")], JPEGExtended12Bit)
    assert as_painted(read(written(tmp_path / "b.dcm", eight))[0])


@pytest.mark.parametrize("marker", [b"\xff\xc3", b"\xff\xc9", b"\xff\xf7"])
def test_what_baseline_jpeg_is_not_is_named(marker: bytes, tmp_path: Path) -> None:
    ds = packed(dataset(painted(), "RGB"), [jpeg(painted()[0]).replace(b"\xff\xc0", marker)], JPEGBaseline8Bit)
    told = sentence(written(tmp_path / "a.dcm", ds))
    assert "it is compressed as JPEG" in told and "which is not read here" in told and "damaged" not in told


def test_a_deflated_file(tmp_path: Path) -> None:
    ds = dataset(pictures(4), syntax=DeflatedExplicitVRLittleEndian, FrameTime="40")
    path = written(tmp_path / "a.dcm", ds)
    with open_source(str(path)) as source:
        assert (source.count, source.fps) == (4, 25.0)
    assert np.array_equal(np.stack(read(path)), pictures(4)) and len(read(path, start=3)) == 1
    noise = np.random.default_rng(0).integers(0, 255, (4, ROWS, COLUMNS), np.uint8)
    whole = written(path, dataset(noise, syntax=DeflatedExplicitVRLittleEndian)).read_bytes()
    path.write_bytes(whole[:-4000])
    assert "only 2 of 4 frames" in sentence(path)
    path.write_bytes(whole[:500])
    assert "is cut off before its pixels" in sentence(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("first", [0, 20])
def test_palettes(syntax: str, deep: bool, first: int, tmp_path: Path) -> None:
    """In either byte order, with 16 bits or with values of 8 in 16, and beginning anywhere."""
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    tables: dict[str, Any] = {}
    for power, name in enumerate(("Red", "Green", "Blue")):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256 - first, first, 16]
        values = np.arange(first, 256) >> power
        tables[f"{name}PaletteColorLookupTableData"] = (values << 8 if deep else values).astype(order).tobytes()
    (image,) = read(written(tmp_path / "a.dcm", dataset(pictures(), "PALETTE COLOR", syntax, **tables)))
    right = np.maximum(pictures()[0], first)
    assert all(np.array_equal(image[..., 2 - power], right >> power) for power in range(3))


def test_a_palette_of_as_many_colours_as_there_can_be(tmp_path: Path) -> None:
    tables: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [0, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = np.arange(1 << 16).astype("<u2").tobytes()
    stored = pictures().astype(np.uint16) << 8
    (image,) = read(written(tmp_path / "a.dcm", dataset(stored, "PALETTE COLOR", **tables)))
    assert np.array_equal(image[..., 0], pictures()[0])


def test_a_palette_or_window_that_leaves_nothing_is_said(tmp_path: Path) -> None:
    black: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        black[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        black[f"{name}PaletteColorLookupTableData"] = bytes(512)
    assert "colour table leaves one flat colour" in sentence(
        written(tmp_path / "a.dcm", dataset(pictures(), "PALETTE COLOR", **black))
    )
    assert "no colour table" in sentence(written(tmp_path / "b.dcm", dataset(pictures(), "PALETTE COLOR")))
    ds = dataset(pictures(), WindowCenter="30000", WindowWidth="400")
    assert "window leaves one flat colour" in sentence(written(tmp_path / "c.dcm", ds))
    dark = dataset(pictures() // 64, WindowCenter="100", WindowWidth="150")
    assert read(written(tmp_path / "d.dcm", dark))[0].max() == 0  # a probe in the air


def test_bits_stored_decide_how_bright_a_dark_beginning_is(tmp_path: Path) -> None:
    deep = pictures(4).astype(np.uint16) << 4
    deep[0] >>= 9
    said = read(written(tmp_path / "a.dcm", dataset(deep, BitsStored=12, HighBit=11)))
    assert np.array_equal(np.stack(said[1:]), pictures(4)[1:]) and said[0].max() == 0
    unsaid = read(written(tmp_path / "b.dcm", dataset(deep)))
    assert np.array_equal(np.stack(unsaid[1:]), pictures(4)[1:])
    left = read(written(tmp_path / "c.dcm", dataset(deep << 4, BitsStored=12, HighBit=15)))
    assert np.array_equal(np.stack(left[1:]), pictures(4)[1:])
    wrong = read(written(tmp_path / "d.dcm", dataset(deep[1:], BitsStored=8, HighBit=7)))
    assert np.array_equal(np.stack(wrong), pictures(4)[1:])


def test_rates(tmp_path: Path) -> None:
    for more, fps in (
        ({"RecommendedDisplayFrameRate": "12"}, 12.0),
        ({"CineRate": "15", "RecommendedDisplayFrameRate": "12"}, 15.0),
        ({"FrameTime": "0", "RecommendedDisplayFrameRate": "12"}, 12.0),
        ({"FrameTime": "0.00001", "CineRate": "20"}, 20.0),
        ({"FrameTimeVector": ["0", "40", "60"], "CineRate": "99"}, 20.0),
        ({"ActualFrameDuration": "50"}, 20.0),
        ({"FrameTime": ""}, None),
    ):
        with open_source(str(written(tmp_path / "a.dcm", dataset(pictures(3), **more)))) as source:
            assert source.fps == (fps if fps is None else pytest.approx(fps)), more
