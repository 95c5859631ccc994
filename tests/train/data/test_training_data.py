from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from smartca.pictures.labelled import LabelledFolder
from smartca.pictures.negatives import read_negatives, shrunk
from smartca.train.data.augment import augment
from smartca.train.data.samples import order, training_view
from support.paths import SHARED


def made_folder(root: Path) -> Path:
    """Three pictures: one for each split, classes 1 and 2 in the masks."""
    (root / "images").mkdir()
    (root / "masks").mkdir()
    for n in range(3):
        cv2.imwrite(str(root / "images" / f"{n}.png"), np.full((40, 60), 50 * n + 20, np.uint8))
        mask = np.zeros((40, 60), np.uint8)
        mask[5:10, 5:10], mask[20:30, 20:40] = 1, 2
        cv2.imwrite(str(root / "masks" / f"{n}.png"), mask)
    (root / "split.csv").write_text("file,split\n0.png,train\n1.png,val\n2.png,test\n")
    return root


def test_folder_reads_pictures_and_the_wanted_class(tmp_path: Path) -> None:
    root = made_folder(tmp_path)
    pixels, mask = LabelledFolder(root, "train")[0]
    assert pixels.shape == mask.shape == (40, 60) and pixels.max() == 20
    assert mask.sum() == 25 + 200
    assert LabelledFolder(root, "validate", mask_value=2)[0][1].sum() == 200


def test_folder_of_real_pictures_keeps_palette_indices() -> None:
    root = SHARED / "seg_msk_usgra"
    if not root.is_dir():
        pytest.skip("shared/data is absent")
    nerve, vessel, any_of_them = (LabelledFolder(root, "train", value) for value in (1, 2, None))
    assert len(nerve) > 100
    for n in range(3):
        assert nerve[n][1].sum() + vessel[n][1].sum() == any_of_them[n][1].sum() > 0


def test_negatives_are_cut_to_their_rectangles(tmp_path: Path) -> None:
    picture = np.zeros((50, 80), np.uint8)
    picture[10:40, 20:60] = 90
    cv2.imwrite(str(tmp_path / "screen.png"), picture)
    assert read_negatives(tmp_path)[0].shape == (50, 80)
    (tmp_path / "negatives.csv").write_text("file,x,y,width,height,every\nscreen.png,20,10,40,30,1\n")
    (cut,) = read_negatives(tmp_path)
    assert cut.shape == (30, 40) and (cut == 90).all()
    (tmp_path / "negatives.csv").write_text("file,x,y,width,height,every\nscreen.png,20,10,400,30,1\n")
    with pytest.raises(ValueError, match="does not fit"):
        read_negatives(tmp_path)


HEAD = "file,x,y,width,height,every,split"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["file,x,y,height", "0.png,0,0,40"], "line 1 lacks width; it needs the columns file,x,y,width,height"),
        (["0.png", "1.png"], "line 1 lacks file, x, y, width, height"),
        ([], "line 1 lacks file"),
        ([HEAD], "line 1 is all there is"),
        ([HEAD, "0.png,0,0,60,40,1,train", "0.png,,,,,,"], "line 3: x,y,width,height are to be whole numbers"),
        ([HEAD, "0.png"], "line 2: x,y,width,height are to be whole numbers"),
        ([HEAD, "0.png,0,0,60,a lot,,"], "line 2: x,y,width,height are to be whole numbers"),
        ([HEAD, "0.png,0,0,60,40,often,"], "every as well where it is given; complete the line"),
        ([HEAD, "0.png,0,0,60,40,0,"], "line 2: every is 0; give 1 for all frames"),
        ([HEAD, ",0,0,60,40,1,"], "line 2 names no file"),
        ([HEAD, "0.png,0,0,60,40,1,trian"], "line 2: 'trian' is no split; write train, val or test"),
        ([HEAD, "0.png,0,0,60,40,1,val"], "gives no picture to the split train; it has val"),
        ([HEAD, "", "0.png,10,0,60,40,1,"], "line 3: the rectangle 10,0,60,40 (x,y,width,height) does not fit 0.png"),
        ([HEAD, "0.png,-1,0,20,20,1,"], "of 60 x 40 pixels; correct it, at least 8 x 8"),
        ([HEAD, "0.png,0,0,60,40,1,", "gone.png,0,0,9,9,1,"], "line 3: "),
        ([HEAD, "gone.mp4,0,0,9,9,1,"], "gone.mp4 is missing"),
        ([HEAD, "text.mp4,0,0,9,9,1,"], "text.mp4 is not a video that can be read"),
    ],
)
def test_every_mistake_in_the_table_of_negatives_is_one_sentence(tmp_path: Path, lines: list[str], told: str) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.full((40, 60), 90, np.uint8))
    (tmp_path / "text.mp4").write_text("no clip")
    table = tmp_path / "negatives.csv"
    table.write_text("\n".join(lines))
    with pytest.raises((OSError, ValueError)) as caught:
        read_negatives(tmp_path)
    said = str(caught.value)
    assert told in said and str(table) in said and "\n" not in said and "--crop" not in said, said


def test_a_table_of_negatives_from_a_spreadsheet(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.full((40, 60), 90, np.uint8))
    table = tmp_path / "negatives.csv"
    table.write_text("\ufefffile;x;y;width;height;every;split\r\n0.png;0;0;20;10;;Valid\r\n", encoding="utf-8")
    assert [picture.shape for picture in read_negatives(tmp_path, "val")] == [(10, 20)]
    table.write_bytes("file,x,y,width,height\nü.png,0,0,9,9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"negatives\.csv is not a CSV table in UTF-8"):
        read_negatives(tmp_path)


def test_negatives_pass_over_hidden_files_and_take_every_nth_page(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((40, 60), number, np.uint8)) for number in range(25)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "below").mkdir()
    Image.fromarray(np.full((40, 60), 99, np.uint8)).save(tmp_path / "below" / "a.PNG")
    (tmp_path / "below" / "._a.PNG").write_bytes(b"none")
    assert [int(picture.max()) for picture in read_negatives(tmp_path)] == [99, 0, 10, 20]
    (tmp_path / "negatives.csv").write_text("file,x,y,width,height,every\nstack.tif,0,0,9,8,12\n")
    assert [(picture.shape, int(picture.max())) for picture in read_negatives(tmp_path)] == [
        ((8, 9), 0), ((8, 9), 12), ((8, 9), 24),
    ]  # fmt: skip


def test_a_folder_without_pictures_is_no_folder_of_negatives(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds neither"):
        read_negatives(tmp_path)


def test_a_real_clip_gives_every_nth_frame(tmp_path: Path) -> None:
    clip = SHARED / "clips" / "lus_linear_Vir_prospective_file1.mp4"
    if not clip.is_file():
        pytest.skip("shared/data is absent")
    (tmp_path / "negatives.csv").write_text(f"file,x,y,width,height,every\n{clip},10,10,200,220,50\n")
    assert [frame.shape for frame in read_negatives(tmp_path)] == [(220, 200)] * 4  # of 151 frames


def test_shrunk_keeps_the_aspect_ratio() -> None:
    small, same = shrunk([np.zeros((300, 600), np.uint8), np.zeros((20, 30), np.uint8)], 100)
    assert small.shape == (50, 100) and same.shape == (20, 30)


def ramp() -> tuple[np.ndarray, np.ndarray]:
    """A picture brighter at the top, with a mask at the lower left."""
    pixels = np.repeat(np.linspace(250, 30, 160).astype(np.uint8)[:, None], 120, 1)
    mask = np.zeros((160, 120), bool)
    mask[110:130, 20:50] = True
    return pixels, mask


def test_augmentation_never_turns_a_picture_upside_down() -> None:
    pixels, mask = ramp()
    rng = np.random.default_rng(0)
    sides = set()
    for _ in range(60):
        image, truth = augment(pixels, mask, rng)
        assert image.dtype == np.uint8 and truth.dtype == np.bool_ and image.shape == truth.shape
        rows = image.mean(1)
        assert rows[: len(rows) // 3].mean() > rows[-len(rows) // 3 :].mean()
        if truth.any():
            row, column = (places.mean() for places in np.nonzero(truth))
            assert row > truth.shape[0] / 2
            sides.add(column > truth.shape[1] / 2)
    assert sides == {True, False}  # but it is mirrored


def test_augmentation_is_the_same_for_the_same_seed() -> None:
    first, second = (augment(*ramp(), np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_augmentation_moves_picture_and_mask_together() -> None:
    _, mask = ramp()
    pixels = np.where(mask, 255, 120).astype(np.uint8)
    rng = np.random.default_rng(3)
    differences = []
    for _ in range(40):
        image, truth = augment(pixels, mask, rng)
        if 50 < truth.sum() < truth.size - 50:
            differences.append(float(image[truth].mean()) - float(image[~truth].mean()))
    assert len(differences) > 30 and min(differences) > 0


def test_a_batch_holds_the_wanted_share_of_negatives() -> None:
    rng = np.random.default_rng(0)
    black = [np.zeros((160, 120), np.uint8)]  # too dark to paste a tear into
    without = sum(not m.any() for _, m in (training_view(ramp(), black, 0.3, rng) for _ in range(100)))
    assert 15 <= without <= 45
    assert all(m.any() for _, m in (training_view(ramp(), [], 0.3, rng) for _ in range(30)))


def test_half_of_the_real_pictures_get_a_tear() -> None:
    rng = np.random.default_rng(0)
    bright = [rng.integers(90, 150, (160, 120)).astype(np.uint8)]
    batch = [training_view(ramp(), bright, 1.0, rng) for _ in range(200)]
    assert 70 <= sum(bool(m.any()) for _, m in batch) <= 130


def test_the_table_of_negatives_gives_each_split_its_own(tmp_path: Path) -> None:
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((40, 60), 50 * n + 20, np.uint8))
    lines = [
        "file,x,y,width,height,every,split",
        "0.png,0,0,60,40,1,train",
        "1.png,10,5,20,30,1,val",
        "2.png,0,0,9,9,1,",
    ]
    (tmp_path / "negatives.csv").write_text("\n".join(lines) + "\n")
    assert [(p.shape, int(p[0, 0])) for p in read_negatives(tmp_path)] == [((40, 60), 20), ((9, 9), 120)]
    assert [(p.shape, int(p[0, 0])) for p in read_negatives(tmp_path, "val")] == [((30, 20), 70)]


def test_order_is_a_permutation_that_changes_by_epoch() -> None:
    first, second = order(50, 0, 1), order(50, 1, 1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert (first != second).any() and (first == order(50, 0, 1)).all()
