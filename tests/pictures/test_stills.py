"""The one reader of stills: every kind that people's files are of, and one sentence for what cannot be a picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from smartca.pictures.depth import Depth
from smartca.pictures.filetypes import files_in, is_still
from smartca.pictures.pixels import to_grey
from smartca.pictures.stills import page_shapes, read_grey, read_greys, read_stills

ROWS, COLUMNS = 24, 36
LEVELS = np.random.default_rng(3).integers(0, 256, (ROWS, COLUMNS), np.uint8)
COLOURS = np.random.default_rng(4).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)  # R, G, B
GREY_OF_COLOURS = cv2.cvtColor(COLOURS, cv2.COLOR_RGB2GRAY)
OPACITY = np.full((ROWS, COLUMNS), 40, np.uint8)


def stored(path: Path) -> np.ndarray:
    """What the stream shows of a file of one picture; its grey is what everything else sees of it."""
    (pixels,) = read_stills(path, Depth())
    assert pixels.dtype == np.uint8 and np.array_equal(to_grey(pixels), read_grey(path))
    return pixels


PALETTE_GREY = np.where(LEVELS > 99, 76, 18).astype(np.uint8)


def palette() -> Image.Image:
    """Two colours, the background's not black."""
    image = Image.fromarray((LEVELS > 99).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 255, 0, 0])
    return image


GREYS: dict[str, tuple[Image.Image, np.ndarray]] = {
    "grey.png": (Image.fromarray(LEVELS), LEVELS),
    "grey.PNG": (Image.fromarray(LEVELS), LEVELS),
    "grey.bmp": (Image.fromarray(LEVELS), LEVELS),
    "grey.tif": (Image.fromarray(LEVELS), LEVELS),
    "grey.gif": (Image.fromarray(LEVELS), LEVELS),
    "opaque.png": (Image.fromarray(np.dstack([LEVELS, OPACITY])), LEVELS),
    "bits.png": (Image.fromarray(LEVELS > 99), (LEVELS > 99) * np.uint8(255)),
    "bits.tif": (Image.fromarray(LEVELS > 99), (LEVELS > 99) * np.uint8(255)),
    "deep.png": (Image.fromarray(LEVELS.astype(np.uint16) << 4), LEVELS),
    "deep.tif": (Image.fromarray(LEVELS.astype(np.uint16) << 8), LEVELS),
    "whole.tif": (Image.fromarray(LEVELS.astype(np.int32) - 20), np.maximum(LEVELS, 20) - np.uint8(20)),
    "colours.png": (Image.fromarray(COLOURS), GREY_OF_COLOURS),
    "colours.tiff": (Image.fromarray(COLOURS), GREY_OF_COLOURS),
    "transparent.png": (Image.fromarray(np.dstack([COLOURS, OPACITY])), GREY_OF_COLOURS),
    "palette.png": (palette(), PALETTE_GREY),
    "palette.gif": (palette(), PALETTE_GREY),
}


@pytest.mark.parametrize("name", GREYS)
def test_every_kind_is_read_by_its_levels(name: str, tmp_path: Path) -> None:
    image, grey = GREYS[name]
    image.save(tmp_path / name)
    assert np.array_equal(read_grey(tmp_path / name), grey)
    assert np.array_equal(to_grey(stored(tmp_path / name)), grey)


def test_colours_are_shown_as_they_are(tmp_path: Path) -> None:
    for name in ("colours.png", "transparent.png"):
        GREYS[name][0].save(tmp_path / name)
        assert np.array_equal(stored(tmp_path / name), COLOURS[..., ::-1])
    palette().save(tmp_path / "palette.png")
    assert set(map(tuple, stored(tmp_path / "palette.png").reshape(-1, 3).tolist())) == {(30, 20, 10), (0, 0, 255)}


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_keep_what_8_would_lose(channels: int, tmp_path: Path) -> None:
    deep = np.zeros((ROWS, COLUMNS, channels), np.uint16)
    deep[..., :3] = COLOURS[..., ::-1]
    for name in ("deep.png", "deep.tif"):
        assert cv2.imwrite(str(tmp_path / name), deep << 2)  # 10 bits: nothing of it would be left of the upper 8
        assert np.array_equal(stored(tmp_path / name), COLOURS[..., ::-1])
    whole = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "deep.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"deep\.png is no picture that can be read"):
        read_grey(tmp_path / "deep.png")


def test_pictures_that_belong_together_keep_their_brightness(tmp_path: Path) -> None:
    for name, brightest in (("a.png", 4095), ("b.png", 1023)):
        Image.fromarray(np.full((ROWS, COLUMNS), brightest, np.uint16)).save(tmp_path / name)
    depth = Depth()
    together = [next(read_stills(tmp_path / name, depth)).max() for name in ("a.png", "b.png")]
    assert together == [255, 63] and read_grey(tmp_path / "b.png").max() == 255


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_a_picture_stored_in_any_of_the_eight_ways_comes_upright(turn: int, suffix: str, tmp_path: Path) -> None:
    orientation = Image.Exif()
    orientation[0x0112] = turn
    path = tmp_path / f"stored{suffix}"
    more: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(COLOURS).save(path, exif=orientation, **more)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert upright.shape[:2] == ((ROWS, COLUMNS) if turn < 5 else (COLUMNS, ROWS))
    assert np.array_equal(stored(path), upright[..., ::-1])


def turned_tiff(path: Path, turn: int) -> None:
    """COLOURS as a TIFF of 16 bits a channel; what writes one elsewhere gives no orientation."""
    data, strip = (COLOURS.astype("<u2") << 8).tobytes(), 8 + 2 + 12 * 10 + 4 + 6
    tags = [
        (256, 3, 1, COLUMNS), (257, 3, 1, ROWS), (258, 3, 3, strip - 6), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, strip), (274, 3, 1, turn), (277, 3, 1, 3), (278, 3, 1, ROWS), (279, 4, 1, len(data)),
    ]  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(head + struct.pack("<I3H", 0, 16, 16, 16) + data)


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_colours_come_upright_too(turn: int, tmp_path: Path) -> None:
    turned_tiff(tmp_path / "deep.tif", turn)
    with Image.open(tmp_path / "deep.tif") as image:  # which cuts to the upper 8 bits
        assert np.array_equal(stored(tmp_path / "deep.tif"), np.asarray(image)[..., ::-1])
    plain = cv2.imencode(".png", COLOURS[..., ::-1].astype(np.uint16) << 8)[1].tobytes()
    exif = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, turn, 0)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "deep.png").write_bytes(plain[:33] + chunk + plain[33:])  # behind the header
    assert np.array_equal(stored(tmp_path / "deep.png"), stored(tmp_path / "deep.tif"))


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "odd.jpg", exif=b"Exif\0\0no such thing", quality=100, subsampling=0)
    Image.fromarray(LEVELS).save(tmp_path / "plain.jpg", quality=100, subsampling=0)
    assert np.array_equal(stored(tmp_path / "odd.jpg"), stored(tmp_path / "plain.jpg"))


FLOATS: dict[str, Callable[[Path], object]] = {
    "float32": lambda path: Image.fromarray((LEVELS / 255).astype(np.float32)).save(path),
    "float64": lambda path: cv2.imwrite(str(path), LEVELS / 255),
    "float32 colours": lambda path: cv2.imwrite(str(path), (COLOURS / 255).astype(np.float32)),
    "float32 with nan": lambda path: Image.fromarray(np.full((ROWS, COLUMNS), np.nan, np.float32)).save(path),
}


@pytest.mark.parametrize("kind", FLOATS)
def test_floating_point_is_refused_by_its_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    FLOATS[kind](path)
    for read in (read_grey, lambda path: next(read_stills(path, Depth()))):
        with pytest.raises(ValueError, match=f"a.tif has {kind[:7]} pixels; save it with 8 or 16 bits a channel"):
            read(path)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".gif", ".webp"])
def test_all_pages_are_pictures_and_none_can_have_a_mask(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stack{suffix}"
    more: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    pages = [Image.fromarray(np.full((ROWS, COLUMNS), 10 * n, np.uint8)) for n in range(12)]
    pages[0].save(path, save_all=True, append_images=pages[1:], **more)
    assert [shape and shape[:2] for shape in page_shapes(path)] == [(ROWS, COLUMNS)] * 12
    assert [int(page.max()) for page in read_greys(path)] == [10 * n for n in range(12)]
    assert [int(page.max()) for page in read_stills(path, Depth(), start=10)] == [100, 110]
    with pytest.raises(ValueError, match="has 12 frames, but a mask belongs to one picture; export single frames"):
        read_grey(path)


def test_a_deep_stack_has_one_depth_and_is_read_to_where_it_breaks(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((ROWS, COLUMNS), 4095 >> n, np.uint16)) for n in range(3)]
    pages[0].save(tmp_path / "deep.tif", save_all=True, append_images=pages[1:])
    assert [int(page.max()) for page in read_greys(tmp_path / "deep.tif")] == [255, 127, 63]
    colours = [(COLOURS.astype(np.uint16) << 4) >> n for n in range(3)]
    assert cv2.imwritemulti(str(tmp_path / "colours.tif"), colours)
    found = list(read_stills(tmp_path / "colours.tif", Depth()))
    assert [np.array_equal(page, COLOURS >> n) for n, page in enumerate(found)] == [True] * 3


def test_pages_that_are_no_pictures_of_their_own_are_passed_over(tmp_path: Path) -> None:
    """A thumbnail in a TIFF, and the second picture in a telephone's JPEG."""
    whole, thumbnail = Image.fromarray(LEVELS), Image.fromarray(LEVELS[::4, ::4])
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    whole.save(tmp_path / "a.tif", save_all=True, append_images=[thumbnail])
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 2  # type: ignore[attr-defined]
    assert np.array_equal(stored(tmp_path / "a.tif"), LEVELS)
    whole.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[thumbnail])
    assert page_shapes(tmp_path / "a.jpg") == [(ROWS, COLUMNS)] and stored(tmp_path / "a.jpg").shape == (ROWS, COLUMNS)


def test_what_is_no_picture_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, content in (("a.png", b"\x89PNG"), ("b.jpg", b"text"), ("c.tif", b"II*\0no directory"), ("d.bmp", b"BM")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError, match=r"is no picture that can be read \(not a picture\); copy it again"):
            read_grey(tmp_path / name)
        assert page_shapes(tmp_path / name) == [None]
    with pytest.raises(OSError, match=r"e\.png is missing; copy it there"):
        read_grey(tmp_path / "e.png")
    assert capfd.readouterr().err == ""


def test_what_a_system_lays_beside_pictures_is_passed_over(tmp_path: Path) -> None:
    kept = ("a.png", "b.PNG", "below/c.Tif")
    hidden = ("._a.png", ".b.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".below/d.png", "__MACOSX/e.png")
    for name in (*kept, *hidden, "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in files_in(tmp_path)] == ["a.png", "b.PNG", "notes.txt"]
    found = files_in(tmp_path, (".png", ".tif"), deep=True)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == list(kept)
    within = tmp_path / ".below"  # asked for by its name
    assert files_in(within) == [within / "d.png"]


def test_a_gif_by_itself_is_a_clip() -> None:
    assert [is_still(Path(name)) for name in ("a.PNG", "a.webp", "a.gif", "a.mp4")] == [True, True, False, False]


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("kind", ["1", "L", "I;16"])
def test_a_tiff_whose_zero_is_white_is_light_on_dark(kind: str, compression: str | None, tmp_path: Path) -> None:
    wanted = np.where(LEVELS > 60, 255, 0).astype(np.uint8) if kind == "1" else LEVELS
    turned = {"1": wanted == 0, "L": 255 - wanted, "I;16": 65535 - wanted.astype(np.uint16) * 257}[kind]
    path = tmp_path / "a.tif"
    Image.fromarray(turned).save(path, compression=compression)
    tag = struct.pack("<HHI", 262, 3, 1)  # what 0 means, one short number
    assert path.read_bytes().count(tag + b"\1\0") == 1
    path.write_bytes(path.read_bytes().replace(tag + b"\1\0", tag + b"\0\0"))
    assert np.array_equal(stored(path), wanted)


def test_twelve_bits_in_sixteen_of_any_kind(tmp_path: Path) -> None:
    deep = LEVELS.astype(np.uint16) << 4
    Image.fromarray(deep).save(tmp_path / "grey.png")
    Image.fromarray(deep).save(tmp_path / "grey.tif")
    for name, channels in (("colours.png", 3), ("colours.tif", 3), ("opacity.png", 4)):
        assert cv2.imwrite(str(tmp_path / name), np.repeat(deep[..., None], channels, axis=2))
    for path in sorted(tmp_path.iterdir()):
        found = stored(path)
        assert np.array_equal(found if found.ndim == 2 else found[..., 0], LEVELS), path
