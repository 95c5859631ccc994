"""The one reader of masks: a mask's own values, whatever it is stored as."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from smartca.pictures.masks import mask_path, read_mask, read_truth

CLASSES = np.zeros((30, 40), np.uint8)
CLASSES[5:10, 5:10], CLASSES[12:20, 8:30] = 1, 2


def indexed(colours: list[int]) -> Image.Image:
    image = Image.fromarray(CLASSES, "P")
    image.putpalette(colours)
    return image


def test_a_palettes_indices_are_the_classes(tmp_path: Path) -> None:
    for name in ("a.png", "a.gif", "a.bmp", "a.tif"):
        indexed([10, 20, 30, 255, 0, 0, 0, 255, 0]).save(tmp_path / name)
        assert np.array_equal(read_mask(tmp_path / name), CLASSES), name
    turned = indexed([10, 20, 30, 255, 0, 0, 0, 255, 0])
    turned.info["transparency"] = 0
    turned.save(tmp_path / "b.png")
    assert np.array_equal(read_mask(tmp_path / "b.png"), CLASSES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_small_values_of_any_depth_are_kept(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(CLASSES.astype(dtype)).save(tmp_path / "a.tif")
    assert np.array_equal(read_mask(tmp_path / "a.tif"), CLASSES)
    if dtype is np.uint16:
        Image.fromarray(CLASSES.astype(dtype)).save(tmp_path / "a.png")
        assert np.array_equal(read_mask(tmp_path / "a.png"), CLASSES)


@pytest.mark.parametrize("channels", [3, 4])
def test_small_values_in_equal_channels_of_16_bits_are_kept(channels: int, tmp_path: Path) -> None:
    layers = np.repeat(CLASSES[..., None].astype(np.uint16), channels, 2)
    if channels == 4:
        layers[..., 3] = 65535
    for name in ("a.png", "a.tif"):
        assert cv2.imwrite(str(tmp_path / name), layers)
        assert np.array_equal(read_mask(tmp_path / name), CLASSES)
    if channels == 4:
        layers[0, 0, 3] = 65534
        cv2.imwrite(str(tmp_path / "a.png"), layers)
        with pytest.raises(ValueError, match=r"a\.png is transparent in places"):
            read_mask(tmp_path / "a.png")


def test_one_bit_is_all_or_nothing_and_lies_as_its_picture_does(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(np.ascontiguousarray(np.rot90(CLASSES > 0, -1))).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_mask(tmp_path / "a.png"), (CLASSES > 0) * np.uint8(255))
    assert np.array_equal(read_truth(tmp_path / "a.png", CLASSES.shape, None), CLASSES > 0)
    assert not read_truth(tmp_path / "a.png", CLASSES.shape, 2).any()


def test_what_loses_values_is_refused(tmp_path: Path) -> None:
    marks = Image.fromarray(CLASSES * 100)
    marks.save(tmp_path / "a.jpg")
    marks.save(tmp_path / "b.png", "JPEG")
    marks.save(tmp_path / "c.tif", compression="jpeg")
    marks.save(tmp_path / "d.jpg", "MPO", save_all=True, append_images=[marks])
    for name in ("a.jpg", "b.png", "c.tif", "d.jpg"):
        with pytest.raises(ValueError, match=f"{name} is a JPEG, which blurs a mask's edges; export masks as PNG"):
            read_mask(tmp_path / name)
    for level in (0.5, np.nan):
        Image.fromarray(np.full((30, 40), level, np.float32)).save(tmp_path / "e.tif")
        with pytest.raises(ValueError, match=r"e\.tif has float32 values with fractions"):
            read_mask(tmp_path / "e.tif")
    (tmp_path / "f.png").write_text("no mask")
    with pytest.raises(OSError, match=r"f\.png is no picture that can be read \(not a picture\); give a PNG mask"):
        read_mask(tmp_path / "f.png")


def test_a_mask_is_found_by_its_name_and_then_by_its_stem(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    assert mask_path(tmp_path, "below/a.dcm") == tmp_path / "below" / "a.dcm"
    for name in ("a.jpg", "a.TIF", "a.png", "a.dcm"):  # each before those that came earlier
        (tmp_path / "below" / name).touch()
        assert mask_path(tmp_path, "below/a.dcm").name == name
    (tmp_path / "below" / "._b.png").touch()
    assert not mask_path(tmp_path, "below/b.png").exists()
