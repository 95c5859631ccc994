"""The second generator of composites: the same every time, changed where it says so, and like real tears in numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.evaluation.samples import samples
from smartca.evaluation.stand_ins import StandIn, stand_in
from smartca.evaluation.stand_ins.gaps import cut_gap
from smartca.evaluation.stand_ins.grafts import graft, place_lesion, stretched
from smartca.evaluation.stand_ins.make import contrast_of, examined
from smartca.evaluation.stand_ins.places import look, plausible, set_down
from smartca.evaluation.stand_ins.shapes import GAP_KINDS, gap_shape
from smartca.pictures.breast_lesions import Lesion, lesions_for
from smartca.pictures.pixels import Grey, to_grey
from smartca.scores.appearance import REAL, appearance, dilated, solidity, table
from support.paths import ROOT, SHARED

needs_data = pytest.mark.skipif(not (SHARED / "stills_msk").is_dir(), reason="the shared real pictures are not here")


def tissue(seed: int = 0, rows: int = 300, columns: int = 560) -> Grey:
    """Speckled layers, and under a bright line at row 200 hardly any echo."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.standard_normal((rows, columns)).astype(np.float32), (0, 0), 2.0, sigmaY=1.0)
    grey = 95 + 12 * np.sin(np.arange(rows) / 9)[:, None] + 110 * grain
    grey[200:] = 12 + 20 * np.abs(grain[200:])
    grey[198:203] = 225
    return np.clip(grey, 0, 255).astype(np.uint8)


def lump() -> Lesion:
    """A dark disc of 9,000 pixels with speckle, in brighter speckle."""
    rng = np.random.default_rng(3)
    mask = np.zeros((180, 180), np.uint8)
    cv2.circle(mask, (90, 90), 54, 1, -1)
    grey = np.where(mask > 0, 40, 110) + rng.normal(0, 12, mask.shape)
    return Lesion(np.clip(grey, 0, 255).astype(np.uint8), mask > 0, "lump.png")


def test_the_same_picture_and_seed_give_the_same_bytes() -> None:
    picture, lesions = tissue(), [lump()]
    made, again = (stand_in(picture, 5, lesions) for _ in range(2))
    assert made and again
    assert (made.pixels == again.pixels).all() and (made.mask == again.mask).all() and made.kind == again.kind
    other, elsewhere = stand_in(picture, 6, lesions), stand_in(tissue(1), 5, lesions)
    assert other and elsewhere
    for one in (other, elsewhere):
        assert one.mask.shape != made.mask.shape or (one.mask != made.mask).any()


def test_the_picture_given_stays_as_it_was() -> None:
    picture = tissue()
    before = picture.copy()
    assert stand_in(picture, 1, [lump()])
    assert (picture == before).all()


def one_of_each(pictures: Iterable[Grey], lesions: Sequence[Lesion]) -> list[StandIn]:
    """A composite of each picture that has a place for one."""
    tried = [stand_in(picture, seed, lesions) for seed, picture in enumerate(pictures)]
    return [made for made in tried if made is not None]


def test_the_change_is_where_the_mask_says() -> None:
    for made in one_of_each((tissue(n) for n in range(12)), [lump()]):
        change = np.abs(made.pixels.astype(int) - made.host)
        assert made.host.shape == made.pixels.shape == made.mask.shape and made.pixels.dtype == np.uint8
        near = dilated(made.mask, 16)
        above = ~near & (np.arange(len(near)) < np.nonzero(made.mask)[0].max())[:, None]
        beneath = near | dilated(made.mask, 40) | np.broadcast_to(near.any(0), near.shape)
        assert change[made.mask].mean() > 15
        assert change[~beneath].max(initial=0) <= 2  # beside it all is as it was, but for rounding
        assert change[above & ~beneath].max(initial=0) <= 2
        assert change[~near].mean() < 4  # beneath it fluid gives a little more echo, or an edge a little less
        assert made.host[made.mask].mean() > made.pixels[made.mask].mean()


@pytest.mark.parametrize("contrast", [0.35, 0.5, 0.7])
def test_a_gap_has_the_contrast_wanted_and_keeps_speckle(contrast: float) -> None:
    rng = np.random.default_rng(2)
    seen = look(tissue())
    mask = np.zeros(seen.grey.shape, bool)
    mask[90:130, 200:320] = True
    made = cut_gap(seen, mask, contrast, rng)
    assert contrast_of(made, mask) == pytest.approx(contrast, abs=0.03)
    assert made[mask].std() > 8  # mixed, neither black nor smooth


def test_a_graft_keeps_the_lesions_outline() -> None:
    rng = np.random.default_rng(4)
    seen = look(tissue())
    for _ in range(4):  # by gradients and by its rim
        lesion = stretched(lump(), 3600, rng)
        assert lesion and lesion.mask.sum() == pytest.approx(3600, rel=0.05)
        mask = place_lesion(lesion, 110, 280, seen)
        assert mask is not None and mask.sum() == lesion.mask.sum()
        made = graft(seen, lesion, mask, 0.5, rng)
        assert contrast_of(made, mask) == pytest.approx(0.5, abs=0.06)
        inner, outer = ~dilated(~mask, 4), dilated(mask, 10) & ~dilated(mask, 5)
        assert made[inner].mean() < 0.7 * made[outer].mean()
    assert stretched(lump(), 40000, rng) is None  # it would have to be blown up
    assert place_lesion(lump(), 5, 5, seen) is None


def test_shapes_have_the_area_and_are_one_ragged_part() -> None:
    rng = np.random.default_rng(0)
    for kind in GAP_KINDS:
        found, areas = [], []
        for _ in range(8):
            mask = gap_shape(kind, 2500, 2.5, 15, rng)
            assert 1400 < mask.sum() < 3300  # an arm may join or leave at once
            areas.append(mask.sum())
            assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] == 2
            found.append(solidity(mask))
        assert 0.3 < np.median(found) < 0.93 and np.median(areas) == pytest.approx(2500, rel=0.05)


def test_places() -> None:
    seen = look(tissue())
    good, deep, shallow = np.zeros((3, *seen.grey.shape), bool)
    good[100:130, 200:300] = True
    deep[230:260, 200:300] = True  # in the shadow beneath the line
    shallow[20:50, 200:300] = True
    assert plausible(good, seen) and not plausible(deep, seen) and not plausible(shallow, seen)
    near = np.zeros(seen.grey.shape, bool)
    near[150:180, 200:300] = True
    laid = set_down(near, seen)
    bottom = np.nonzero(laid)[0].max()
    assert 190 <= bottom < 200  # on the line, not in it
    assert abs(seen.degrees[100, 280]) < 15  # layers that lie flat


def test_a_dark_picture_has_no_place() -> None:
    assert stand_in(np.zeros((200, 300), np.uint8), 0) is None
    noise = np.random.default_rng(0).integers(0, 12, (200, 300)).astype(np.uint8)
    assert examined(noise, np.random.default_rng(1)).dtype == np.uint8


@needs_data
@pytest.mark.timeout(240)  # it makes 50 composites
def test_they_look_like_real_tears_in_numbers() -> None:
    files = [*sorted((SHARED / "stills_msk").glob("sparq_*.png"))[:30], *sorted(SHARED.glob("dicom/still_sparq_*.dcm"))]
    lesions = lesions_for("test", SHARED / "seg_lesion_busi")

    def pictures(file: Path) -> list[Grey]:
        each = samples(str(file), "test", None).each
        return [np.ascontiguousarray(one.sector.cut(to_grey(one.pixels)), np.uint8) for one in each]

    made = one_of_each((picture for file in files for picture in pictures(file)), lesions)
    assert len(made) > 40
    found = table([appearance(one.pixels, one.mask) for one in made])
    for name in ("area_percent", "inside", "ring", "inside_to_ring", "inside_sd", "ring_sd", "length_to_width",
                 "solidity", "compactness", "below_to_above", "length_to_picture", "depth_share"):  # fmt: skip
        low, _, median, _, high = REAL[name]
        assert low < found[name][2] < high, name
        assert found[name][4] > median > found[name][0], name  # both sides of the real median are there


@needs_data
def test_what_is_kept_out_is_not_learnt_from() -> None:
    from smartca.evaluation.real_sources import KEPT_OUT, files_of

    with (ROOT / "docs" / "negatives.csv").open() as text:
        learnt = {row["file"] for row in csv.DictReader(text)}
    kept = {str(file.relative_to(SHARED)) for source in KEPT_OUT for file in files_of(SHARED, source)}
    assert len(kept) > 90 and not kept & learnt
    hips = {path.relative_to(SHARED).as_posix() for path in SHARED.glob("stills_joint_hip/hip_*.png")}
    assert len(hips & kept) == len(hips & learnt) == 19
