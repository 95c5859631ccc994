"""DICOM in every form that scanners and archives write: each pixel is what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)
from smartca.engine import Sector
from smartca.stream.sources import open_source
from support.dicom_files import (
    COLUMNS,
    ROWS,
    as_stored,
    as_words,
    colour_tables,
    dataset,
    halved,
    jpegs,
    noise,
    pictures,
    read,
    region,
    rgb_of,
    sentence,
    without_preamble,
    written,
)

BIG = ExplicitVRBigEndian
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, BIG, DeflatedExplicitVRLittleEndian]
every_syntax = pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: UID(uid).keyword)
GREYS = ("MONOCHROME2", "MONOCHROME1")


def right(path: Path, ds: Dataset, wanted: np.ndarray, off_by: int = 0) -> bool:
    """Whether all of the file's pictures are `wanted`, greys or B, G, R; and the later ones, read alone, as well."""
    found = np.stack(read(written(path, ds)))
    last = read(path, start=len(wanted) - 1)
    close = [np.abs(one.astype(int) - two).max() <= off_by for one, two in ((found, wanted), (last[0], wanted[-1]))]
    return found.shape == wanted.shape and found.dtype == np.uint8 and len(last) == 1 and all(close)


@every_syntax
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_greys(syntax: str, bits: int, tmp_path: Path) -> None:
    deep = pictures(3) if bits == 8 else pictures(3).astype(np.uint16) << bits - 8
    for kind in GREYS:
        ds = dataset(deep, kind, syntax, BitsStored=bits, HighBit=bits - 1, PixelData=as_stored(deep, syntax))
        assert right(tmp_path / "a.dcm", ds, pictures(3) if kind == GREYS[0] else 255 - pictures(3)), kind


@every_syntax
@pytest.mark.parametrize("planes", [0, 1])
def test_colours_point_by_point_and_plane_by_plane(syntax: str, planes: int, tmp_path: Path) -> None:
    colours = noise(2)
    deep = colours.astype(np.uint16) << 8
    for kind, stored, wanted in (
        ("RGB", colours, colours),
        ("RGB", deep, colours),
        ("YBR_FULL", colours, rgb_of(colours)),
    ):
        order = stored.transpose(0, 3, 1, 2) if planes else stored
        ds = dataset(stored, kind, syntax, PlanarConfiguration=planes, PixelData=as_stored(order, syntax))
        assert right(tmp_path / "a.dcm", ds, wanted[..., ::-1], off_by=int(kind != "RGB")), (kind, stored.dtype)


@every_syntax
@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS - 1])
def test_halved_chromas(syntax: str, columns: int, tmp_path: Path) -> None:
    """An odd row has one more than is shown."""
    colours = noise(3)
    colours[:, :, 1::2, 1:] = colours[:, :, ::2, 1:]
    content = halved(colours).tobytes()
    colours = colours[:, :, :columns]
    ds = dataset(colours, "YBR_FULL_422", syntax, PixelData=content)
    assert right(tmp_path / "a.dcm", ds, rgb_of(colours)[..., ::-1], off_by=1)


def test_halved_chromas_of_odd_rows_that_go_on_in_the_next(tmp_path: Path) -> None:
    row = noise(2).reshape(2, 1, -1, 3)
    row[:, :, 1::2, 1:] = row[:, :, ::2, 1:]
    colours = row[:, 0, : ROWS * (COLUMNS - 1)].reshape(2, ROWS, COLUMNS - 1, 3)
    ds = dataset(colours, "YBR_FULL_422", PixelData=halved(row[:, :, : ROWS * (COLUMNS - 1)]).tobytes())
    assert right(tmp_path / "a.dcm", ds, rgb_of(colours)[..., ::-1], off_by=1)


def test_chromas_that_were_not_halved_though_it_is_said(tmp_path: Path) -> None:
    assert right(tmp_path / "a.dcm", dataset(noise(2), "YBR_FULL_422"), rgb_of(noise(2))[..., ::-1], off_by=1)


def test_lumas_from_16_to_235(tmp_path: Path) -> None:
    grey = np.tile(np.array([16, 235, 126], np.uint8)[:, None, None], (1, ROWS, COLUMNS))
    stored = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=-1)
    ds = dataset(stored, "YBR_PARTIAL_422", PixelData=halved(stored).tobytes())
    wanted = np.tile(np.array([0, 255, 128], np.uint8)[:, None, None, None], (1, ROWS, COLUMNS, 3))
    assert right(tmp_path / "a.dcm", ds, wanted, off_by=1)


def test_bytes_in_words_whose_higher_one_comes_first(tmp_path: Path) -> None:
    colours, chromas = noise(2), noise(2)
    chromas[:, :, 1::2, 1:] = chromas[:, :, ::2, 1:]
    for kind, stored, content, wanted in (
        ("MONOCHROME2", pictures(3), pictures(3), pictures(3)),
        ("RGB", colours, colours, colours[..., ::-1]),
        ("YBR_FULL_422", chromas, halved(chromas), rgb_of(chromas)[..., ::-1]),
    ):
        ds = dataset(stored, kind, BIG, PixelData=as_words(content.tobytes()))
        ds["PixelData"].VR = "OW"
        assert right(tmp_path / "a.dcm", ds, wanted, off_by=int(kind == "YBR_FULL_422")), kind


@every_syntax
@pytest.mark.parametrize("table", ["bytes", "bytes in words", "words"])
def test_palettes(syntax: str, table: str, tmp_path: Path) -> None:
    """Red is the pixel's value, green half of it, blue a quarter."""
    wanted = np.stack([pictures(2) >> 2, pictures(2) >> 1, pictures(2)], axis=-1)
    for stored in (pictures(2), pictures(2).astype(np.uint16)):
        ds = dataset(stored, "PALETTE COLOR", syntax, **colour_tables(256, table, syntax))
        ds.PixelData = as_stored(stored, syntax)
        assert right(tmp_path / "a.dcm", ds, wanted), stored.dtype


@pytest.mark.parametrize("said", [8, 16])
@pytest.mark.parametrize("table", ["bytes", "bytes in words"])
def test_palettes_of_another_depth_than_they_say(said: int, table: str, tmp_path: Path) -> None:
    tables = colour_tables(255, table)  # odd: a byte is added at the end
    for name in ("Red", "Green", "Blue"):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [255, 0, said]
    few = np.minimum(pictures(2), 254)
    ds = dataset(pictures(2), "PALETTE COLOR", **tables)
    assert right(tmp_path / "a.dcm", ds, np.stack([few >> 2, few >> 1, few], axis=-1))


def test_palettes_of_12_bits_and_in_segments(tmp_path: Path) -> None:
    deep, tables = pictures(2).astype(np.uint16) << 4, {}
    for name in ("Red", "Green", "Blue"):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4096, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = (np.arange(4096) << 4).astype("<u2").tobytes()
    grey = np.repeat(pictures(2)[..., None], 3, axis=-1)
    ds = dataset(deep, "PALETTE COLOR", BitsStored=12, HighBit=11, **tables)
    assert right(tmp_path / "a.dcm", ds, grey)
    segments: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):  # one value, then a line of 255 steps
        segments[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        line = np.array([0, 1, 0, 1, 255, 0xFFFF], "<u2").tobytes()
        segments[f"Segmented{name}PaletteColorLookupTableData"] = line
    assert right(tmp_path / "b.dcm", dataset(pictures(2), "PALETTE COLOR", **segments), grey, off_by=1)


def test_a_palette_that_is_cut_off_is_said(tmp_path: Path) -> None:
    ds = dataset(pictures(), "PALETTE COLOR", **colour_tables(256, "bytes"))
    ds.GreenPaletteColorLookupTableData = bytes(100)
    assert "colour table has 100 of 256 entries" in sentence(written(tmp_path / "a.dcm", ds))


@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda uid: UID(uid).keyword)
@pytest.mark.parametrize("meta", [True, False])
@pytest.mark.parametrize("name", ["a.dcm", "IM_0001", "1.2.840.113619.2"])
def test_a_file_without_preamble(syntax: str, meta: bool, name: str, tmp_path: Path) -> None:
    path = without_preamble(tmp_path / name, dataset(pictures(3), syntax=syntax), meta)
    assert np.array_equal(np.stack(read(path)), pictures(3))


def test_a_dark_first_frame_of_12_bits(tmp_path: Path) -> None:
    deep = pictures(3).astype(np.uint16) << 4
    deep[0] = 40
    wanted = pictures(3)
    wanted[0] = 2
    for kind, shown in zip(GREYS, (wanted, 255 - wanted), strict=True):
        assert right(tmp_path / "a.dcm", dataset(deep, kind, BitsStored=12, HighBit=11), shown)


@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS - 1])
@pytest.mark.parametrize("rows", [ROWS, ROWS - 1])
def test_odd_sides(rows: int, columns: int, tmp_path: Path) -> None:
    greys, colours = pictures(3)[:, :rows, :columns], np.ascontiguousarray(noise(3)[:, :rows, :columns])
    assert right(tmp_path / "a.dcm", dataset(greys), greys)
    assert right(tmp_path / "b.dcm", dataset(colours, "RGB"), colours[..., ::-1])
    for pixels, kind in ((greys, "MONOCHROME2"), (colours, "RGB")):
        ds = dataset(pixels, kind)
        ds.compress(RLELossless)
        assert right(tmp_path / "c.dcm", ds, pixels if kind != "RGB" else colours[..., ::-1])
    flat = np.full((2, rows, columns, 3), (200, 120, 40), np.uint8)
    ds = dataset(flat, "YBR_FULL_422", JPEGBaseline8Bit, PixelData=jpegs(flat, "JPEG", subsampling="4:2:2"))
    ds["PixelData"].is_undefined_length = True
    assert right(tmp_path / "d.dcm", ds, flat[..., ::-1], off_by=3)


def test_one_bit_and_eight_bits_in_more(tmp_path: Path) -> None:
    on = pictures(3) > 100
    bits = np.packbits(on.reshape(-1), bitorder="little").tobytes()
    ds = dataset(on.astype(np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=bits)
    assert right(tmp_path / "a.dcm", ds, np.where(on, 255, 0).astype(np.uint8))
    for dtype in (np.uint16, np.uint32):
        ds = dataset(pictures(3).astype(dtype), BitsStored=8, HighBit=7)
        assert right(tmp_path / "b.dcm", ds, pictures(3)), dtype


def test_an_interpretation_that_is_spelled_otherwise_or_not_said(tmp_path: Path) -> None:
    for kind in (b"monochrome1 ", b"Monochrome1 "):
        path = written(tmp_path / "a.dcm", dataset(pictures(3), "MONOCHROME1"))
        path.write_bytes(path.read_bytes().replace(b"MONOCHROME1 ", kind))
        assert np.array_equal(np.stack(read(path)), 255 - pictures(3))
    unsaid = dataset(pictures(3))
    del unsaid.PhotometricInterpretation, unsaid.SamplesPerPixel
    assert right(tmp_path / "b.dcm", unsaid, pictures(3))


@pytest.mark.parametrize("kind", ["CMYK", "HSV", "ARGB", "YBR_PARTIAL_420"])
def test_colours_that_nobody_writes_any_more_are_named(kind: str, tmp_path: Path) -> None:
    assert f"its colours are {kind}" in sentence(written(tmp_path / "a.dcm", dataset(noise(1), kind)))


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    four = np.concatenate([noise(2), noise(2)[..., :1]], axis=-1)
    ds = dataset(four, "RGB", SamplesPerPixel=4)
    assert "its pixels have 4 channels" in sentence(written(tmp_path / "b.dcm", ds))
    deep = noise(1).astype(np.uint16) << 8
    assert "YBR_FULL of more than 8 bits" in sentence(written(tmp_path / "c.dcm", dataset(deep, "YBR_FULL")))
    packed = dataset(pictures(2).astype(np.uint16), BitsAllocated=12, BitsStored=12, HighBit=11)
    assert "packed in 12 bits each" in sentence(written(tmp_path / "d.dcm", packed))


def test_lengths_that_are_not_those_of_the_header(tmp_path: Path) -> None:
    whole = pictures(3).tobytes()
    assert right(tmp_path / "a.dcm", dataset(pictures(3), PixelData=whole + bytes(100)), pictures(3))
    for said in (1, 2, None):  # nobody counted
        ds = dataset(pictures(3), NumberOfFrames=said or 1)
        if said is None:
            del ds.NumberOfFrames
        assert right(tmp_path / "b.dcm", ds, pictures(3)), said
    assert right(tmp_path / "c.dcm", dataset(noise(2), "MONOCHROME2", SamplesPerPixel=1), noise(2)[..., ::-1])
    assert right(tmp_path / "d.dcm", dataset(pictures(3), "RGB", SamplesPerPixel=3), pictures(3))
    for content, read_of in (
        (whole[:-2], "2 of 3"),
        (whole[:5120], "2 of 3"),
        (whole[:5118], "1 of 3"),
        (b"", "0 of 3"),
    ):
        told = sentence(written(tmp_path / "e.dcm", dataset(pictures(3), PixelData=content)))
        assert f"(it ends early): only {read_of} frames" in told
    more = sentence(written(tmp_path / "f.dcm", dataset(pictures(3), NumberOfFrames=5)))
    assert "only 3 of 5 frames" in more
    assert "but it has 7780" in sentence(
        written(tmp_path / "g.dcm", dataset(pictures(3), PixelData=whole + b"\7" * 100))
    )


@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda uid: UID(uid).keyword)
def test_pixels_that_end_early_give_what_they_have(syntax: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", dataset(pictures(10), syntax=syntax))
    whole = path.read_bytes()
    for less, left in ((1, 9), (2560, 9), (2561, 8), (20000, 2), (25600, 0)):
        path.write_bytes(whole[:-less])
        assert f"only {left} of 10 frames" in sentence(path)
    path.write_bytes(whole[:-25700])
    assert "without rows and columns" in sentence(path) or "damaged" in sentence(path)


def test_a_file_of_no_bytes_and_one_of_no_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").touch()
    assert sentence(tmp_path / "a.dcm").endswith("a.dcm is empty, 0 bytes; copy it again from the scanner")
    ds = dataset(pictures(2))
    del ds.PixelData
    assert "only 0 of 2 frames" in sentence(written(tmp_path / "b.dcm", ds))


def test_several_regions(tmp_path: Path) -> None:
    small, large, flow = region(2, 4, 20, 30), region(10, 5, 59, 34), region(0, 0, 62, 38, kind=2)
    doppler = region(0, 0, 63, 38, kind=3)
    for regions, wanted in (
        ([small, large], Sector(10, 5, 50, 30)),
        ([flow, small], Sector(2, 4, 19, 27)),  # the flow is drawn into the tissue
        ([flow, doppler], Sector(0, 0, 63, 39)),
        ([doppler], None),
        ([region(30, 5, 61, 34), region(0, 5, 31, 34)], Sector(30, 5, 32, 30)),  # the first of two as large
        ([region(30, 5, 20, 30), small], Sector(2, 4, 19, 27)),  # its corners are not those of any area
    ):
        path = written(tmp_path / "a.dcm", dataset(pictures(2), SequenceOfUltrasoundRegions=regions))
        with open_source(str(path)) as source:
            assert source.sector == wanted


@pytest.mark.parametrize(
    ("more", "fps"),
    [
        ({"FrameTime": "40"}, 25.0),
        ({"CineRate": "30"}, 30.0),
        ({"RecommendedDisplayFrameRate": "12"}, 12.0),
        ({"FrameTime": "40", "CineRate": "30", "RecommendedDisplayFrameRate": "12"}, 25.0),
        ({"FrameTime": "-40", "CineRate": "30"}, 30.0),
        ({"CineRate": "0"}, None),
    ],
)
def test_rates_in_every_byte_order(more: dict[str, str], fps: float | None, tmp_path: Path) -> None:
    for syntax in SYNTAXES:
        with open_source(str(written(tmp_path / "a.dcm", dataset(pictures(3), syntax=syntax, **more)))) as source:
            assert source.fps == fps
    with open_source(str(written(tmp_path / "b.dcm", dataset(pictures(1), **more)))) as still:
        assert still.fps is None


def test_frames_of_a_codestream_that_are_more_than_said(tmp_path: Path) -> None:
    packed = dataset(pictures(3))
    packed.compress(RLELossless)
    packed.NumberOfFrames = 1
    assert right(tmp_path / "a.dcm", packed, pictures(3))
    fewer = dataset(pictures(2), NumberOfFrames=4, syntax=JPEGBaseline8Bit)
    fewer.PixelData = jpegs(pictures(2), "JPEG")
    fewer["PixelData"].is_undefined_length = True
    assert "only 2 of 4 frames" in sentence(written(tmp_path / "b.dcm", fewer))
    nothing = dataset(pictures(2), syntax=JPEGBaseline8Bit, PixelData=encapsulate([b"\xff\xd8\xff\xd9"]))
    nothing["PixelData"].is_undefined_length = True
    sentence(written(tmp_path / "c.dcm", nothing))
