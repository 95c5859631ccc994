"""Annotations of other tools as training data, and one sentence for everything that can be wrong with them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from PIL import Image
from smartca.pictures.datasets import FilesOfSplits, Samples, check_samples, form_of, open_data
from smartca.pictures.labelled import split_of
from smartca.pictures.outlines.shapes import MarkedOutline, rasterised

ROWS, COLUMNS = 40, 60
BOX = [10, 5, 30, 5, 30, 25, 10, 25]  # x, y: 20 x 20 pixels
TRUTH = np.zeros((ROWS, COLUMNS), bool)
TRUTH[5:25, 10:30] = True


def picture(folder: Path, name: str, level: int = 90) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), np.full((ROWS, COLUMNS), level, np.uint8))


def sentence(data: Path, split: str = "train", **options: Any) -> str:
    """What opening and checking the data says."""
    with pytest.raises((OSError, ValueError)) as caught:
        check_samples(open_data(data, split, **options))
    told = str(caught.value)
    assert str(data) in told and "\n" not in told and len(told) < 320 + len(str(data)) * 2, told
    return told


def packed() -> list[tuple[str, np.ndarray]]:
    """What pycocotools 2.0.11 makes of three masks."""
    i, j = np.mgrid[:ROWS, :COLUMNS]
    rings = (
        "0b09CM?3AM>4BL>3CM<4CL=4DL;5DK<5EK96GJNK4=NIN>3BM>3BM=3DM:5EL95HKML0=3HM<5CL:6FK58LHN=3CN;3EM76JJN<4DL96HJN?2BO:3GL67JJN;4FL"
        "49LGO<3EL76KKL;5FL39MHN;4EM38OHL96HKO<2EN65LKL96HKN=3DM66LKL96HKN<3EN46NJM67KIN:4HLM<5ELN>3CO55MJM77KIN:4GMN:5FMN:5FLM=5EML=5"
        "DM1:0HML?5CM37OJMO<2EN37OJML"
    )
    circle = "Rg05P16K4M2N2N2O0O2O000O2O00000001N10001N101N2N2N3L5Jid0"
    return [
        (rings, (i * i + 3 * j * j) % 700 < 300),
        (circle, (i - 20) ** 2 + (j - 30) ** 2 < 150),
        ("P[2", np.zeros((ROWS, COLUMNS), bool)),
    ]


def drawn(**more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [BOX], "iscrowd": 0, **more}


def coco_file(root: Path, *annotations: dict[str, Any], name: str = "set.json", **more: Any) -> Path:
    """One picture, 0.png, which split.csv puts into train."""
    picture(root / "images", "0.png")
    (root / "split.csv").write_text("file,split\n0.png,train\n")
    images = [{"id": 1, "file_name": "0.png", "height": ROWS, "width": COLUMNS}]
    categories = [{"id": 1, "name": "tear"}, {"id": 2, "name": "bone"}]
    path = root / name
    path.parent.mkdir(exist_ok=True)
    content = {"images": images, "annotations": list(annotations), "categories": categories, **more}
    path.write_text(json.dumps(content))
    return path


def truth(samples: Samples) -> np.ndarray:
    pixels, mask = samples[0]
    assert len(samples) == 1 and pixels.shape == mask.shape and (pixels == 90).all()
    return mask


def test_coco_polygons_and_run_lengths(tmp_path: Path) -> None:
    assert np.array_equal(truth(open_data(coco_file(tmp_path, drawn()), "train")), TRUTH)
    runs = [10 * ROWS + 5, *([20, 20] * 20)[:-1], 15 + 30 * ROWS]
    plain = {"counts": runs, "size": [ROWS, COLUMNS]}
    assert np.array_equal(truth(open_data(coco_file(tmp_path, drawn(segmentation=plain)), "train")), TRUTH)


@pytest.mark.parametrize(("letters", "mask"), packed())
def test_run_lengths_as_other_tools_pack_them(tmp_path: Path, letters: str, mask: np.ndarray) -> None:
    path = coco_file(tmp_path, drawn(segmentation={"counts": letters, "size": [ROWS, COLUMNS]}))
    assert np.array_equal(truth(open_data(path, "train")), mask)


def test_a_polygon_is_cut_at_the_edges_of_its_picture(tmp_path: Path) -> None:
    path = coco_file(tmp_path, drawn(segmentation=[[-1e9, -5, 20, -5, 20, 10.4, -1e9, 10.4]]))
    expected = np.zeros_like(TRUTH)
    expected[:10, :20] = True  # the centres of the eleventh row's pixels lie below
    assert np.array_equal(truth(open_data(path, "train")), expected)


def test_several_polygons_and_labels(tmp_path: Path) -> None:
    second = [40, 30, 50, 30, 50, 35, 40, 35]
    bone = drawn(category_id=2, segmentation=[[0, 0, 60, 0, 60, 40, 0, 40]])
    path = coco_file(tmp_path, drawn(segmentation=[BOX, second]), drawn(segmentation=[BOX]), bone)
    assert truth(open_data(path, "train", label="Tear")).sum() == 400 + 50
    assert truth(open_data(path, "train", label="bone")).all()
    assert "has several labels; give --label with the tear's: bone, tear" in sentence(path)
    assert "has no label cuff; it has bone, tear" in sentence(path, label="cuff")
    assert "has labels and no mask values" in sentence(path, mask_value=1)


def test_a_picture_without_an_outline_is_one_without_a_tear(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.png", "height": ROWS, "width": COLUMNS} for n in (1, 2)]
    path = coco_file(tmp_path, drawn(), images=images)
    for n in (1, 2):
        picture(tmp_path, f"{n}.png")  # beside the file this time
    (tmp_path / "split.csv").write_text("file,split\n1.png,train\n2.png,train\n")
    checked = check_samples(open_data(path, "train"))
    assert (checked.pictures, checked.with_tear) == (2, 1)


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (drawn(segmentation=[[1, 2, 3, 4]]), "an outline of 0.png is no polygon of three points"),
        (drawn(segmentation=[]), "is a box or a line"),
        (drawn(segmentation={"counts": [3, 4], "size": [ROWS, COLUMNS]}), "run lengths that do not add up"),
        (drawn(segmentation={"counts": "zz0", "size": [ROWS, COLUMNS]}), "run lengths that do not add up"),
        (drawn(segmentation={"counts": [200], "size": [10, 20]}), "run lengths of another size"),
        (drawn(image_id=7), "belongs to picture 7, which is not listed"),
        (drawn(category_id=7), "has category 7, which is not listed"),
        (drawn(category_id="x"), "has category x, which is not listed"),
        (drawn(category_id=[1]), "is not a COCO file"),
        (drawn(segmentation={"counts": "o" * 200_000, "size": [ROWS, COLUMNS]}), "run lengths that do not add up"),
    ],
)
def test_every_bad_annotation_is_named(tmp_path: Path, annotation: dict[str, Any], told: str) -> None:
    assert told in sentence(coco_file(tmp_path, annotation))


def test_every_bad_coco_file_is_named(tmp_path: Path) -> None:
    assert "has not one outline" in sentence(coco_file(tmp_path))
    image = {"id": 1, "file_name": "gone.png", "height": ROWS, "width": COLUMNS}
    path = coco_file(tmp_path, drawn(), images=[image])
    assert "names none of the pictures" in sentence(path)
    (tmp_path / "split.csv").write_text("file,split\ngone.png,train\n")
    assert "names the picture gone.png, which is not in" in sentence(path)
    path = coco_file(tmp_path, drawn(), images=[{**image, "file_name": "0.png", "height": 33}])
    assert "another size (60 x 33) than its picture (60 x 40)" in sentence(path)
    secret = tmp_path / "0.exe"
    coco_file(tmp_path, drawn(), images=[{**image, "file_name": str(secret)}])
    (tmp_path / "split.csv").write_text("file,split\n0.exe,train\n")
    assert "which is no picture" in sentence(path)
    path.write_text("{")
    assert "is not a COCO file" in sentence(path)


def test_a_path_of_the_annotators_machine_ends_in_the_folder(tmp_path: Path) -> None:
    for name in ("C:\\Users\\me\\0.png", "/home/me/0.png", "../../0.png"):
        image = {"id": 1, "file_name": name, "height": ROWS, "width": COLUMNS}
        path = coco_file(tmp_path, drawn(), images=[image])
        (tmp_path / "split.csv").unlink()
        samples = open_data(path, split_of(name))
        assert np.array_equal(truth(samples), TRUTH)


def test_folders_that_tools_export(tmp_path: Path) -> None:
    coco_file(tmp_path / "cvat", drawn(), name="annotations/instances_default.json")
    assert np.array_equal(truth(open_data(tmp_path / "cvat", "train")), TRUTH)
    coco_file(tmp_path / "parts", drawn(), name="annotations/instances_val.json")
    assert np.array_equal(truth(open_data(tmp_path / "parts", "validate")), TRUTH)  # and split.csv is not asked
    coco_file(tmp_path / "roboflow", drawn(), name="train/_annotations.coco.json")
    picture(tmp_path / "roboflow" / "train", "0.png")
    assert np.array_equal(truth(open_data(tmp_path / "roboflow", "train")), TRUTH)


def test_all_splits_of_an_export_by_splits_are_its_files_together(tmp_path: Path) -> None:
    bone, root = drawn(category_id=2), tmp_path / "roboflow"
    for split, found in (("train", [drawn(), bone]), ("valid", [drawn()]), ("test", [])):
        coco_file(root, *found, name=f"{split}/_annotations.coco.json")
        picture(root / split, "0.png", {"train": 60, "valid": 70, "test": 80}[split])
    samples = open_data(root, "all", label="tear")
    assert isinstance(samples, FilesOfSplits) and samples.files == ["0.png"] * 3
    found = [(int(pixels.max()), int(mask.sum())) for pixels, mask in map(samples.__getitem__, range(len(samples)))]
    assert found == [(60, 400), (70, 400), (80, 0)]
    assert check_samples(samples).with_tear == 2
    assert len(open_data(root, "val")) == 1  # of which the tear is the only label
    with pytest.raises(ValueError, match="has several labels; give --label with the tear's: bone, tear"):
        open_data(root, "all")
    assert "is bone the tear's label?" in sentence(root, "test", label="bone")  # known to the file, in use or not
    assert form_of(root) == "outlines"


def test_a_polygon_has_the_pixels_that_matplotlib_finds_in_it() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    for number in range(300):
        corners = rng.uniform(-20, 80, (int(rng.integers(3, 30)), 2))
        corners = np.round(2 * corners) / 2 if number % 2 else corners  # borders through the pixels' centres
        inside = Polygon(corners).contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
        outline = MarkedOutline("tear", tuple(corners.ravel()))
        assert np.array_equal(rasterised(outline, ROWS, COLUMNS), inside)


POLYGON = '<polygon label="tear" points="10,5;30,5;30,25;10,25"/>'
MASK = '<mask label="tear" rle="0,400" left="10" top="5" width="20" height="20"/>'


def cvat_file(root: Path, shapes: str) -> Path:
    picture(root / "images", "0.png")
    (root / "split.csv").write_text("file,split\n0.png,train\n")
    image = f'<image id="0" name="0.png" width="{COLUMNS}" height="{ROWS}">{shapes}</image>'
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    return root


@pytest.mark.parametrize("shape", [POLYGON, MASK])
def test_cvat(tmp_path: Path, shape: str) -> None:
    root = cvat_file(tmp_path, shape + '<box label="bone" xtl="1" ytl="1" xbr="9" ybr="9"/>')
    assert np.array_equal(truth(open_data(root, "train", label="tear")), TRUTH)
    assert np.array_equal(truth(open_data(root / "annotations.xml", "train", label="tear")), TRUTH)
    assert "is a box or a line" in sentence(root, label="bone")


def test_every_bad_cvat_file_is_named(tmp_path: Path) -> None:
    assert "do not add up" in sentence(cvat_file(tmp_path, MASK.replace("400", "40")))
    assert "reaches outside" in sentence(cvat_file(tmp_path, MASK.replace('top="5"', 'top="35"')))
    assert "is no polygon of three" in sentence(cvat_file(tmp_path, POLYGON.replace("10,5;", "10;")))
    assert "export it again" in sentence(cvat_file(tmp_path, POLYGON.replace("10,5;", "x,5;")))
    assert "export it again" in sentence(cvat_file(tmp_path, MASK.replace('left="10"', "")))
    (tmp_path / "annotations.xml").write_text("<annotations><track/></annotations>")
    assert "choose 'CVAT for images 1.1'" in sentence(tmp_path)
    (tmp_path / "annotations.xml").write_text("<annotations>")
    assert "is not XML" in sentence(tmp_path)


def labelme_file(root: Path, shape: dict[str, Any]) -> Path:
    picture(root, "0.png")
    (root / "split.csv").write_text("file,split\n0.png,train\n")
    found = {"version": "5.0", "shapes": [{"label": "tear", **shape}], "imagePath": "..\\scans\\0.png"}
    (root / "0.json").write_text(json.dumps({**found, "imageHeight": ROWS, "imageWidth": COLUMNS, "imageData": None}))
    return root


def test_labelme(tmp_path: Path) -> None:
    (tmp_path / "split.csv").touch()
    corners = [[10, 5], [30, 5], [30, 25], [10, 25]]
    root = labelme_file(tmp_path, {"points": corners, "shape_type": "polygon"})
    assert np.array_equal(truth(open_data(root, "train")), TRUTH)
    stream = io.BytesIO()
    Image.fromarray(np.ones((20, 20), bool)).save(stream, "PNG")
    mask = {"points": [[10, 5], [29, 24]], "shape_type": "mask", "mask": base64.b64encode(stream.getvalue()).decode()}
    assert np.array_equal(truth(open_data(labelme_file(tmp_path, mask), "train")), TRUTH)
    assert "cannot be read" in sentence(labelme_file(tmp_path, {**mask, "mask": "AAAA"}))
    assert "is a box or a line" in sentence(labelme_file(tmp_path, {"points": corners[:2], "shape_type": "rectangle"}))
    (tmp_path / "0.json").write_text('{"shapes": 3}')
    assert "is not a LabelMe file" in sentence(tmp_path)


def coco(root: Path, names: list[str], corners: list[int] | None = None) -> Path:
    """A COCO file of pictures with these names, each with one outline."""
    square = corners or [10, 10, 30, 10, 30, 30, 10, 30]
    content = {
        "images": [{"id": n, "file_name": name, "height": 40, "width": 40} for n, name in enumerate(names)],
        "annotations": [{"image_id": n, "category_id": 1, "segmentation": [square]} for n in range(len(names))],
        "categories": [{"id": 1, "name": "tear"}],
    }
    path = root / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def pictures_at(root: Path, *places: str) -> None:
    """Grey pictures of 40 x 40, each of its own brightness."""
    for n, place in enumerate(places):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / place), np.full((40, 40), 10 + n, np.uint8))


def test_a_name_with_folders_finds_the_picture_of_those_folders(tmp_path: Path) -> None:
    pictures_at(tmp_path, "images/p1/a.png", "images/p2/a.png")
    data = open_data(coco(tmp_path, [r"C:\data\p2\a.png", "/home/x/p1/a.png"]), "all")
    assert [int(data[n][0][0, 0]) for n in range(2)] == [11, 10]


def test_a_name_that_may_be_two_pictures_is_refused(tmp_path: Path) -> None:
    pictures_at(tmp_path, "images/p1/a.png", "images/p2/a.png")
    with pytest.raises(ValueError, match=r"a\.png, which may be images/p1/a\.png and images/p2/a\.png"):
        open_data(coco(tmp_path, ["a.png"]), "all")


def test_two_entries_for_one_picture_are_refused(tmp_path: Path) -> None:
    pictures_at(tmp_path, "images/a.png")
    with pytest.raises(ValueError, match=r"two entries, a\.png and p2/a\.png, for the one picture images/a\.png"):
        open_data(coco(tmp_path, ["a.png", "p2/a.png"]), "all")


def test_two_pictures_of_one_id_are_refused(tmp_path: Path) -> None:
    pictures_at(tmp_path, "images/a.png", "images/b.png")
    path = coco(tmp_path, ["a.png", "b.png"])
    path.write_text(path.read_text().replace('"id": 1, "file_name"', '"id": 0, "file_name"'))
    with pytest.raises(ValueError, match="several pictures with the id 0"):
        open_data(path, "all")


def test_an_outline_outside_its_picture_is_no_picture_without_a_tear(tmp_path: Path) -> None:
    pictures_at(tmp_path, "images/a.png")
    data = open_data(coco(tmp_path, ["a.png"], [50, 50, 60, 50, 60, 60]), "all")
    with pytest.raises(ValueError, match=r"the outlines of a\.png cover no pixel"):
        data[0]
