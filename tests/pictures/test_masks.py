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
    for name in ("a.jpg", "a.TIF", "a.Tiff", "a.png", "a.dcm"):
        (tmp_path / "below" / name).touch()
        assert mask_path(tmp_path, "below/a.dcm").name == name
        (tmp_path / "below" / name).unlink()
    (tmp_path / "below" / "._b.png").touch()
    assert not mask_path(tmp_path, "below/b.png").exists()


def drawn(values: np.ndarray, scale: float, how: int) -> np.ndarray:
    return np.asarray(cv2.resize(values, None, fx=scale, fy=scale, interpolation=how))


def test_smooth_edges_of_few_greys_are_refused(tmp_path: Path) -> None:
    """Each of them would make a tear larger by its rim."""
    square = np.zeros((60, 80), np.uint8)
    square[20:41, 31:62] = 255
    smooth = {
        "blurred": cv2.GaussianBlur(square, (3, 3), 0),
        "smaller": drawn(square, 0.5, cv2.INTER_AREA),
        "larger": drawn(square, 2, cv2.INTER_LINEAR),
        "deep": drawn(square.astype(np.uint16) * 257, 2, cv2.INTER_LINEAR),
        "upside": 255 - cv2.GaussianBlur(square, (3, 3), 0),
    }
    for name, values in smooth.items():
        assert 3 <= len(np.unique(values)) < 32
        cv2.imwrite(str(tmp_path / f"{name}.png"), values)
        with pytest.raises(ValueError, match=r"has smooth edges \(values such as \d.* without anti-aliasing"):
            read_truth(tmp_path / f"{name}.png", values.shape, None)
    blurred = smooth["blurred"]
    assert (read_truth(tmp_path / "blurred.png", blurred.shape, 255) == (blurred == 255)).all()  # a class was named


def test_classes_are_no_smooth_edges(tmp_path: Path) -> None:
    nested = np.zeros((60, 80), np.uint8)
    nested[10:50, 10:70], nested[20:30, 20:40], nested[35:37, 30:60] = 128, 255, 64  # one of them thin
    few = np.zeros((60, 80), np.uint8)
    few[20:40, 20:40], few[21:39, 21:39] = 1, 2  # one around the other
    thin = np.zeros((60, 80), np.uint8)
    thin[20:40, 20:40], thin[50:52, 5:70] = 255, 100
    for name, values in (("nested", nested), ("few", few), ("thin", thin), ("empty", nested * 0), ("full", few | 255)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), values)
        assert (read_truth(tmp_path / f"{name}.png", values.shape, None) == (values > 0)).all(), name


def test_sixteen_bits_are_not_made_one_class(tmp_path: Path) -> None:
    two = np.zeros((60, 80), np.uint16)
    two[20:40, 20:40], two[45:, :] = 300, 700
    cv2.imwrite(str(tmp_path / "two.png"), two)
    with pytest.raises(ValueError, match="has several values above 254, up to 700; export classes as 1, 2, 3"):
        read_mask(tmp_path / "two.png")
    photograph = np.random.default_rng(0).integers(300, 60000, (60, 80)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "photograph.png"), photograph)
    with pytest.raises(ValueError, match="grey values, as a photograph has"):
        read_mask(tmp_path / "photograph.png")
    for value in (1, 255, 256, 257, 65535):
        cv2.imwrite(str(tmp_path / "one.png"), np.where(two > 0, value, 0).astype(np.uint16))
        assert ((read_mask(tmp_path / "one.png") > 0) == (two > 0)).all(), value


def test_a_webp_may_be_a_mask_where_it_keeps_values(tmp_path: Path) -> None:
    Image.fromarray(CLASSES).save(tmp_path / "kept.webp", lossless=True)
    assert np.array_equal(read_mask(tmp_path / "kept.webp"), CLASSES)
    assert mask_path(tmp_path, "kept.jpg").name == "kept.webp"
    for exif in (b"", Image.Exif().tobytes()):
        Image.fromarray(CLASSES * np.uint8(60)).save(tmp_path / "blurred.webp", quality=90, exif=exif)
        with pytest.raises(ValueError, match="is a lossy WebP, which blurs"):
            read_mask(tmp_path / "blurred.webp")


def test_two_masks_for_one_picture_are_said(tmp_path: Path) -> None:
    """Neither is taken silently: not the one of the same name, nor one with another suffix."""
    for name in ("a.png", "a.tif", "b.bmp", "b.gif", "c.png"):
        Image.fromarray(CLASSES).save(tmp_path / name)
    for picture, first, second in (
        ("a.png", "a.png", "a.tif"),
        ("a.dcm", "a.png", "a.tif"),
        ("b.jpg", "b.bmp", "b.gif"),
    ):
        with pytest.raises(ValueError, match=f"has two masks of {picture}, {first} and {second}; take out the one"):
            mask_path(tmp_path, picture)
    (tmp_path / "c.tif").symlink_to("c.png")  # one file under two names
    assert mask_path(tmp_path, "c.jpg").name == "c.png"
