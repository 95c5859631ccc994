"""MetaImage and NRRD: the right pixels the right way up, and a sentence where there are none."""

from __future__ import annotations

import zlib
from pathlib import Path

import nrrd
import numpy as np
import pytest
from smartca.stream.sources import open_source
from support.paths import SHARED as DATA

ROWS, COLUMNS = 40, 64


def pictures(frames: int = 1) -> np.ndarray:
    """Frame k: a ramp from left to right with its upper rows brighter by 100, and k in its first pixel."""
    ramp = np.tile(np.arange(COLUMNS, dtype=np.uint8) * 2, (frames, ROWS, 1))
    ramp[:, :8] += 100
    ramp[:, 0, 0] = np.arange(frames)
    return ramp


def read(path: Path, start: int = 0) -> list[np.ndarray]:
    with open_source(str(path)) as source:
        return [picture.pixels for picture in source.pictures(start)]


def sentence(path: Path) -> str:
    """What opening or reading it says; it names the file."""
    with pytest.raises((OSError, ValueError, RuntimeError)) as caught:
        read(path)
    told = str(caught.value)
    assert path.name in told and "\n" not in told and len(told) < 320
    return told


def meta(path: Path, frames: np.ndarray, orientation: str = "MF", packed: bool = True, more: str = "") -> Path:
    """A PLUS sequence of frames (frames, rows, columns)."""
    count, rows, columns = frames.shape[:3]
    content = zlib.compress(frames.tobytes()) if packed else frames.tobytes()
    kinds = {"uint8": "MET_UCHAR", "uint16": "MET_USHORT", "float32": "MET_FLOAT"}
    lines = ["ObjectType = Image", "NDims = 3", f"CompressedData = {packed}", f"DimSize = {columns} {rows} {count}   "]
    lines += [f"ElementType = {kinds[frames.dtype.name]}", f"UltrasoundImageOrientation = {orientation}"]
    lines += [f"ElementNumberOfChannels = {frames.shape[3]}"] if frames.ndim == 4 else []
    lines += [f"Seq_Frame{n:04}_Timestamp = {100 + n * 0.05:.3f}" for n in range(count)]
    path.write_bytes("\n".join([*lines, more, "ElementDataFile = LOCAL\n"]).replace("\n\n", "\n").encode() + content)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_a_plus_sequence_is_read_picture_by_picture(tmp_path: Path, packed: bool) -> None:
    invalid = "Seq_Frame0002_ImageStatus = INVALID\nElementSpacing = 0.1 0.2 1"
    path = meta(tmp_path / "scan.igs.mha", pictures(6), packed=packed, more=invalid)
    with open_source(str(path)) as source:
        assert (source.name, source.count) == ("scan.igs.mha", 5) and source.fps == pytest.approx(20)
        assert source.mm_per_pixel == (0.2, 0.1)
        found = [picture.pixels for picture in source.pictures()]
    assert np.array_equal(np.stack(found), pictures(6)[[0, 1, 3, 4, 5]])
    assert [int(image[0, 0]) for image in read(path, start=2)] == [3, 4, 5]


@pytest.mark.parametrize("orientation", ["MF", "UFA", "MN", "UN", "FM", "NU", "XX"])
def test_the_skin_is_always_above(tmp_path: Path, orientation: str) -> None:
    upright = stored = pictures(2)
    x, y = ("M", "F") if orientation[:2] == "XX" else orientation[:2]
    stored = stored[:, :, ::-1] if "U" in (x, y) else stored
    stored = stored[:, ::-1] if "N" in (x, y) else stored
    stored = stored.swapaxes(1, 2) if x in "FN" else stored
    path = meta(tmp_path / "scan.mha", np.ascontiguousarray(stored), orientation, more="ElementSpacing = 1 1 1")
    assert np.array_equal(np.stack(read(path)), upright)
    with open_source(str(path)) as source:
        assert source.mm_per_pixel is None  # 1 mm is what is written by those who do not know


def test_deep_and_coloured_volumes(tmp_path: Path) -> None:
    deep = meta(tmp_path / "deep.mha", pictures(2).astype(np.uint16) * 16)
    assert np.array_equal(np.stack(read(deep)), pictures(2))
    rgb = np.stack([pictures(2), pictures(2) // 2, pictures(2) // 4], axis=-1)
    assert np.array_equal(np.stack(read(meta(tmp_path / "rgb.mha", rgb))), rgb[..., ::-1])
    nrrd.write(str(tmp_path / "rgb.nrrd"), rgb.transpose(3, 2, 1, 0), {"kinds": ["vector", "domain", "domain", "list"]})
    assert np.array_equal(np.stack(read(tmp_path / "rgb.nrrd")), rgb[..., ::-1])


@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def test_nrrd(tmp_path: Path, encoding: str) -> None:
    directions = np.array([[0.1, 0, 0], [0, 0.2, 0], [0, 0, 1]])
    header = {"encoding": encoding, "space dimension": 3, "space directions": directions}
    nrrd.write(str(tmp_path / "scan.nrrd"), pictures(4).transpose(2, 1, 0), header)
    with open_source(str(tmp_path / "scan.nrrd")) as source:
        assert source.count == 4 and source.mm_per_pixel == pytest.approx((0.2, 0.1))
    assert np.array_equal(np.stack(read(tmp_path / "scan.nrrd")), pictures(4))
    nrrd.write(str(tmp_path / "apart.nhdr"), pictures(4).transpose(2, 1, 0), header)
    assert np.array_equal(np.stack(read(tmp_path / "apart.nhdr")), pictures(4))


def test_a_header_with_its_pixels_beside_it(tmp_path: Path) -> None:
    whole = meta(tmp_path / "whole.mha", pictures(3), packed=False).read_bytes()
    begin = whole.index(b"LOCAL\n") + 6
    (tmp_path / "scan.raw").write_bytes(whole[begin:])
    header = whole[:begin].replace(b"LOCAL", b"scan.raw")
    (tmp_path / "scan.mhd").write_bytes(header)
    assert np.array_equal(np.stack(read(tmp_path / "scan.mhd")), pictures(3))
    (tmp_path / "scan.raw").unlink()
    assert "scan.raw, which is not there" in sentence(tmp_path / "scan.mhd")
    (tmp_path / "scan.mhd").write_bytes(header.replace(b"scan.raw", b"../scan.raw"))
    assert "outside its folder" in sentence(tmp_path / "scan.mhd")


@pytest.mark.parametrize("packed", [True, False])
def test_a_sequence_cut_off_gives_what_it_has(tmp_path: Path, packed: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, ROWS, COLUMNS), np.uint8)
    path = meta(tmp_path / "scan.mha", noise, packed=packed)
    path.write_bytes(path.read_bytes()[: -3 * ROWS * COLUMNS])
    seen: list[np.ndarray] = []
    with open_source(str(path)) as source, pytest.raises(RuntimeError, match="damaged or cut off") as caught:
        seen.extend(picture.pixels for picture in source.pictures())
    assert 4 <= len(seen) <= 5 and np.array_equal(np.stack(seen), noise[: len(seen)])
    assert f"only {len(seen)} of 8 pictures" in str(caught.value)


def test_what_is_no_volume_is_told_in_one_sentence(tmp_path: Path) -> None:
    for suffix in ("mha", "mhd", "nrrd"):
        (tmp_path / f"text.{suffix}").write_text("no volume\n" * 20)
        (tmp_path / f"empty.{suffix}").touch()
        for name in ("text", "empty"):
            assert f"cannot be read as {suffix.upper()}" in sentence(tmp_path / f"{name}.{suffix}")
    assert "8 or 16 bits" in sentence(meta(tmp_path / "float.mha", pictures().astype(np.float32)))
    assert "RF_REAL" in sentence(meta(tmp_path / "rf.mha", pictures(), more="UltrasoundImageType = RF_REAL"))
    path = meta(tmp_path / "huge.mha", pictures())
    path.write_bytes(path.read_bytes().replace(b"DimSize = 64 40", b"DimSize = 640000 400000"))
    assert "640000 x 400000" in sentence(path)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 640000", b"DimSize = x"))
    sentence(path)
    damaged = bytearray(meta(tmp_path / "damaged.mha", pictures(2)).read_bytes())
    damaged[damaged.index(b"LOCAL\n") + 6 :] = b"\xff" * 500
    (tmp_path / "damaged.mha").write_bytes(damaged)
    assert "only 0 of 2 pictures" in sentence(tmp_path / "damaged.mha")


@pytest.mark.parametrize(
    ("name", "count", "shape"),
    [
        ("BoneUltrasound_L14.igs.mha", 21, (616, 820)),
        ("SegmentationTest_BKMedical_RandomStepperMotionData2_Trimmed_Anonymized.igs.mha", 6, (480, 640)),
        ("UltrasonixCurvilinearScanConvertedData.igs.mha", 5, (616, 820)),
        ("NrrdSample.igs.nrrd", 1, (256, 256)),
        ("ColorNrrdSample.igs.nrrd", 1, (648, 1152, 3)),
    ],
)
def test_real_plus_sequences(name: str, count: int, shape: tuple[int, ...]) -> None:
    path = DATA / "plus" / name
    if not path.is_file():
        pytest.skip("shared/data is absent")
    with open_source(str(path)) as source:
        assert source.count == count and source.mm_per_pixel is None
        found = [picture.pixels for picture in source.pictures()]
    assert len(found) == count and all(image.shape == shape and image.std() > 5 for image in found)
    if name.startswith("Bone"):
        # the same to the last pixel as another reader, where that is installed
        other = pytest.importorskip("SimpleITK")
        assert np.array_equal(np.stack(found), other.GetArrayFromImage(other.ReadImage(str(path))))
