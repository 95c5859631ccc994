"""MetaImage and NRRD in the forms that Slicer, ITK and teem write them: the same pictures from each."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from smartca.stream.sources import open_source

ROWS, COLUMNS, FRAMES = 40, 64, 5
PICTURES = np.random.default_rng(0).integers(0, 256, (FRAMES, ROWS, COLUMNS), np.uint8)
NRRD = "NRRD0005\ntype: {type}\ndimension: 3\nsizes: 64 40 5\nencoding: {encoding}\nendian: {endian}\n{more}"


def read(path: Path) -> np.ndarray:
    with open_source(str(path)) as source:
        return np.stack([picture.pixels for picture in source.pictures()])


def facts(path: Path) -> tuple[int | None, float | None, tuple[float, float] | None]:
    with open_source(str(path)) as source:
        return source.count, source.fps, source.mm_per_pixel


def nrrd(
    path: Path, body: bytes, encoding: str = "raw", more: str = "", kind: str = "uint8", endian: str = "little"
) -> Path:
    head = NRRD.format(type=kind, encoding=encoding, endian=endian, more=more)
    path.write_bytes(head.encode() + b"\n" + body)
    return path


@pytest.mark.parametrize("twice", ["", "space: left-posterior-superior\n"])
def test_a_slicer_sequence_with_its_list_first(twice: str, tmp_path: Path) -> None:
    times = " ".join(f"{n / 20:.3f}" for n in range(FRAMES))
    head = (
        f"NRRD0005\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: {FRAMES} 64 40 1\n"
        "space directions: none (0.1,0,0) (0,-0.2,0) (0,0,1)\nkinds: list domain domain domain\n"
        f'labels: "time" "" "" ""\n{twice}encoding: gzip\nspace origin: (0,0,0)\naxis 0 index values:={times}\n\n'
    )
    path = tmp_path / "a.seq.nrrd"
    path.write_bytes(head.encode() + gzip.compress(PICTURES.transpose(1, 2, 0).tobytes()))
    count, fps, spacing = facts(path)
    assert count == FRAMES and fps == pytest.approx(20) and spacing == pytest.approx((0.2, 0.1))
    assert np.array_equal(read(path), PICTURES)


def test_encodings(tmp_path: Path) -> None:
    plain = PICTURES.tobytes()
    words = "\n".join(" ".join(map(str, row)) for row in PICTURES.reshape(-1, COLUMNS)).encode()
    for encoding, body in (
        ("raw", plain),
        ("gzip", gzip.compress(plain)),
        ("bz2", bz2.compress(plain)),
        ("bzip2", bz2.compress(plain)),
        ("ascii", words),
        ("hex", plain.hex().encode()),
    ):
        assert np.array_equal(read(nrrd(tmp_path / "a.nrrd", body, encoding)), PICTURES), encoding
    deep = (PICTURES.astype(">u2") << 8).tobytes()
    assert np.array_equal(read(nrrd(tmp_path / "b.nrrd", deep, kind="ushort", endian="big")), PICTURES)
    signed = (PICTURES.astype(np.int16) - 128).astype(np.int8).tobytes()
    assert np.array_equal(read(nrrd(tmp_path / "c.nrrd", signed, kind="int8")), PICTURES)


def test_pixels_in_other_files(tmp_path: Path) -> None:
    for n, picture in enumerate(PICTURES):
        (tmp_path / f"p{n}.raw").write_bytes(picture.tobytes())
    names = "\n".join(f"p{n}.raw" for n in range(FRAMES))
    for number, more in enumerate((f"data file: LIST\n{names}\n", "data file: p%d.raw 0 4 1\n")):
        assert np.array_equal(read(nrrd(tmp_path / f"{number}.nhdr", b"", more=more)), PICTURES)
    head = "NDims = 3\nDimSize = 64 40 5\nElementType = MET_UCHAR\nElementDataFile = "
    for number, more in enumerate((f"LIST\n{names}\n", "p%d.raw 0 4 1\n")):
        (tmp_path / f"{number}.mhd").write_text(head + more)
        assert np.array_equal(read(tmp_path / f"{number}.mhd"), PICTURES)
    (tmp_path / "p3.raw").unlink()
    with pytest.raises(OSError, match=r"p3\.raw, which is not there"):
        read(tmp_path / "0.mhd")
    body = b"two\nlines\n" + b"xyz" + PICTURES.tobytes()
    (tmp_path / "long.raw").write_bytes(body)
    for more in ("line skip: 2\nbyte skip: 3\n", "byte skip: -1\n"):
        path = nrrd(tmp_path / "skip.nhdr", b"", more=f"{more}data file: long.raw\n")
        assert np.array_equal(read(path), PICTURES)


def test_units(tmp_path: Path) -> None:
    for more, spacing in (
        ('spacings: 0.0001 0.0002 nan\nunits: "m" "m" ""\n', (0.2, 0.1)),
        ('spacings: -0.01 0.02 nan\nunits: "cm" "cm" ""\n', (0.2, 0.1)),
        ("spacings: 0.1 0.2 1\n", (0.2, 0.1)),
        ('spacings: 3 4 1\nunits: "feet" "feet" ""\n', None),
    ):
        assert facts(nrrd(tmp_path / "a.nrrd", PICTURES.tobytes(), more=more))[2] == (
            spacing if spacing is None else pytest.approx(spacing)
        )
    head = "NDims = 3\nDimSize = 64 40 5\nElementType = MET_UCHAR\nDistanceUnits = cm\nElementSpacing = -.01 .02 1\n"
    tail = "CompressedData = True\nCompressedDataSize = 7\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes((head + tail).encode() + zlib.compress(PICTURES.tobytes()))
    assert facts(tmp_path / "a.mha")[2] == pytest.approx((0.2, 0.1))
    assert np.array_equal(read(tmp_path / "a.mha"), PICTURES)


def test_colours_apart_and_together(tmp_path: Path) -> None:
    colours = np.stack([PICTURES, PICTURES // 2, PICTURES // 4], axis=-1)
    for sizes, kinds, axes in (
        ("3 64 40 5", "RGB-color domain domain list", (0, 1, 2, 3)),
        ("64 40 3 5", "domain domain vector list", (0, 3, 1, 2)),
        ("5 3 64 40", "list vector domain domain", (1, 2, 3, 0)),
    ):
        head = f"NRRD0005\ntype: uint8\ndimension: 4\nsizes: {sizes}\nkinds: {kinds}\nencoding: raw\n\n"
        (tmp_path / "a.nrrd").write_bytes(head.encode() + np.ascontiguousarray(colours.transpose(axes)).tobytes())
        assert np.array_equal(read(tmp_path / "a.nrrd"), colours[..., ::-1]), sizes
