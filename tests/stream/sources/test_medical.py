"""DICOM: the right pixels, sector and millimetres, and a sentence where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless
from smartca.engine import Sector
from smartca.pictures.stills import read_grey
from smartca.stream.sources import open_source
from support.dicom_files import COLUMNS, ROWS, dataset, jpegs, pictures, read, region, sentence, written
from support.paths import SHARED as DATA


def test_a_cine_gives_its_frames_its_sector_its_millimetres_and_its_rate(tmp_path: Path) -> None:
    regions = [region(0, 0, 63, 39, kind=4), region(2, 4, 20, 30), region(10, 5, 59, 34)]
    ds = dataset(pictures(5), FrameTime="40", CineRate="50", SequenceOfUltrasoundRegions=regions)
    path = written(tmp_path / "scan.dcm", ds)
    with open_source(str(path)) as source:
        assert (source.name, source.count, source.fps, source.live) == ("scan.dcm", 5, 25.0, False)
        assert source.sector == Sector(10, 5, 50, 30)
        assert source.mm_per_pixel == pytest.approx((0.2, 0.1))
    assert np.array_equal(np.stack(read(path)), pictures(5))
    assert [int(pixels[0, 0]) for pixels in read(path, start=3)] == [3, 4] and read(path, start=9) == []


def test_a_file_without_suffix_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert len(read(written(tmp_path / "IM_0001", dataset(pictures(2))))) == 2


def test_a_folder_of_them_is_told_apart_from_a_folder_of_pictures(tmp_path: Path) -> None:
    for number in range(2):
        written(tmp_path / f"IM_{number}", dataset(pictures()))
    assert "is a folder of DICOM files" in sentence(tmp_path)


def test_a_region_that_is_everything_or_without_units_says_nothing(tmp_path: Path) -> None:
    everywhere = [region(0, 0, COLUMNS, ROWS, units=0)]
    with open_source(
        str(written(tmp_path / "a.dcm", dataset(pictures(), SequenceOfUltrasoundRegions=everywhere)))
    ) as a:
        assert a.sector is None and a.mm_per_pixel is None and a.fps is None and a.unrelated
    with open_source(str(written(tmp_path / "b.dcm", dataset(pictures(), PixelSpacing=["0.1", "0.2"])))) as b:
        assert b.mm_per_pixel == (0.1, 0.2)


@pytest.mark.parametrize("name", ["doe_jane.dcm", "4711-2.dcm"])
def test_a_file_named_after_its_patient_is_not_passed_on_by_that_name(tmp_path: Path, name: str) -> None:
    with open_source(str(written(tmp_path / name, dataset(pictures())))) as source:
        assert source.name == "a DICOM file"


def test_dark_is_dark_whatever_the_file_calls_it(tmp_path: Path) -> None:
    (inverted,) = read(written(tmp_path / "1.dcm", dataset(255 - pictures(), "MONOCHROME1")))
    assert np.array_equal(inverted, pictures()[0])
    deep = pictures().astype(np.uint16) * 16  # 12 bits in 16
    (shifted,) = read(written(tmp_path / "2.dcm", dataset(deep)))
    assert np.array_equal(shifted, pictures()[0])
    signed = pictures().astype(np.int16) - 100
    (windowed,) = read(written(tmp_path / "3.dcm", dataset(signed, WindowCenter="28", WindowWidth="256")))
    assert np.abs(windowed.astype(int) - pictures()[0]).max() <= 1


def test_palette_and_colours(tmp_path: Path) -> None:
    tables: dict[str, Any] = {}
    for name, power in (("Red", 0), ("Green", 1), ("Blue", 2)):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        values = (np.arange(256) >> power).astype(np.uint16) * 256
        tables[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    ds = dataset(pictures(2), "PALETTE COLOR", **tables)
    ds.compress(RLELossless)
    bgr = read(written(tmp_path / "palette.dcm", ds))
    assert all(np.array_equal(bgr[k][..., 2 - power], pictures(2)[k] >> power) for k in (0, 1) for power in range(3))
    rgb = np.stack([pictures(), pictures() // 2, pictures() // 4], axis=-1)
    (plain,) = read(written(tmp_path / "rgb.dcm", dataset(rgb, "RGB")))
    assert np.array_equal(plain, rgb[0, ..., ::-1])


@pytest.mark.parametrize(
    ("syntax", "form", "kind"), [(JPEGBaseline8Bit, "JPEG", "YBR_FULL_422"), (JPEG2000Lossless, "JPEG2000", "YBR_RCT")]
)
def test_compressed_colours(tmp_path: Path, syntax: str, form: str, kind: str) -> None:
    rgb = np.stack([np.full((3, ROWS, COLUMNS), level, np.uint8) for level in (200, 120, 40)], axis=-1)
    ds = dataset(rgb, kind, syntax, PixelData=jpegs(rgb, form))
    ds["PixelData"].is_undefined_length = True
    found = read(written(tmp_path / "colour.dcm", ds))
    assert len(found) == 3 and all(image.shape == (ROWS, COLUMNS, 3) for image in found)
    assert all(np.abs(image.astype(int) - (40, 120, 200)).max() <= 3 for image in found)


def test_what_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.dcm", dataset(pictures(10)))
    plain.write_bytes(plain.read_bytes()[: -3 * ROWS * COLUMNS - 50])
    packed = dataset(pictures(10), syntax=JPEGBaseline8Bit, PixelData=jpegs(pictures(10), "JPEG"))
    packed["PixelData"].is_undefined_length = True
    squeezed = written(tmp_path / "squeezed.dcm", packed)
    squeezed.write_bytes(squeezed.read_bytes()[: -squeezed.stat().st_size // 3])
    for path, least in ((plain, 6), (squeezed, 3)):
        seen = 0
        with open_source(str(path)) as source, pytest.raises(RuntimeError) as caught:
            for picture in source.pictures():
                assert picture.pixels.shape == (ROWS, COLUMNS)
                seen += 1
        assert least <= seen < 10 and f"only {seen} of 10 frames could be read" in str(caught.value)


def test_what_is_no_dicom_picture_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("not a picture\n" * 50)
    assert "is not a DICOM file" in sentence(tmp_path / "text.dcm")
    report = dataset(pictures())
    del report.Rows, report.Columns, report.PixelData
    assert "holds no picture (Ultrasound Multi-frame" in sentence(written(tmp_path / "report.dcm", report))
    without = dataset(pictures())
    del without.PixelData
    assert "only 0 of 1 frames" in sentence(written(tmp_path / "without.dcm", without))
    lossless = dataset(pictures(), syntax=JPEGLosslessSV1, PixelData=encapsulate([b"\xff\xd8\xff\xd9"]))
    lossless["PixelData"].is_undefined_length = True
    told = sentence(written(tmp_path / "lossless.dcm", lossless))
    assert "JPEG Lossless" in told and "export it uncompressed" in told
    strange = written(tmp_path / "strange.dcm", dataset(pictures()))
    strange.write_bytes(strange.read_bytes().replace(b"1.2.840.10008.1.2.1", b"1.2.840.x0008.1.2.1"))
    assert "which is not read here" in sentence(strange)
    header = written(tmp_path / "head.dcm", dataset(pictures()))
    header.write_bytes(header.read_bytes()[:300])
    sentence(header)


@pytest.mark.parametrize(
    ("name", "count", "shape", "sector"),
    [
        ("cine_cardiac_sonosite_120f_color3d_jpeg_baseline.dcm", 120, (480, 640, 3), Sector(84, 31, 512, 384)),
        ("cine_derived_telemed_gastroc_79f.dcm", 79, (624, 1148, 3), None),
        ("still_ALOKA_palette16_gdcm-US-ALOKA-16.dcm", 1, (480, 640, 3), Sector(32, 24, 304, 392)),
        ("still_GE_logiq700_powerdoppler_US1_J2KR.dcm", 1, (480, 640, 3), None),
        ("still_sonoque_phantom_rgb.dcm", 1, (1455, 2083, 3), None),
        ("still_sparq_e05_20210100.dcm", 1, (600, 800, 3), Sector(120, 60, 680, 459)),
    ],
)
def test_real_scanners(name: str, count: int, shape: tuple[int, ...], sector: Sector | None) -> None:
    path = DATA / "dicom" / name
    if not path.is_file():
        pytest.skip("shared/data is absent")
    with open_source(str(path)) as source:
        assert (source.count, source.sector) == (count, sector)
        start = max(0, count - 3)
        found = [picture.pixels for picture in source.pictures(start)]
    assert len(found) == count - start and all(image.shape == shape and image.std() > 5 for image in found)


def test_the_same_screen_as_dicom_and_as_film() -> None:
    film, cine = (DATA / "clips" / "telemed_gastroc_isokinetic120_01_push_01.mp4", DATA / "dicom")
    if not film.is_file():
        pytest.skip("shared/data is absent")
    first, same = (next(open_source(str(p)).pictures()).pixels for p in (film, next(cine.glob("cine_derived*"))))
    assert np.abs(first.astype(int) - same).mean(axis=(0, 1)).max() < 4  # in each of the three channels


def test_a_dicom_still_is_a_picture_to_train_on_and_a_cine_is_not(tmp_path: Path) -> None:
    assert np.array_equal(read_grey(written(tmp_path / "one.dcm", dataset(pictures()))), pictures()[0])
    with pytest.raises(ValueError, match="has 3 frames, but a mask belongs to one picture"):
        read_grey(written(tmp_path / "three.dcm", dataset(pictures(3))))
