"""The simulated shoulder: its physics, its truth, and that it repeats to the byte."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from smartca.phantom import HELD_OUT_FROM, KINDS, TRAIN, VALIDATE, Phantom, PhantomFrame, Scanner, isotropic, kind_of
from smartca.phantom.body.findings import NEGATIVES
from smartca.phantom.body.motion import Pose
from smartca.phantom.body.view import tissue_view
from smartca.phantom.sound.beam import PointSpread
from smartca.phantom.sound.speckle import Scatterers, compress

TORN = [seed for seed in range(400, 436) if kind_of(seed) != "intact"]


@pytest.fixture(scope="module")
def torn() -> list[tuple[Phantom, PhantomFrame]]:
    """Each with its first picture, from t = 20 on, that shows the tear."""
    shown = []
    for phantom in map(Phantom, TORN):
        frames = (phantom.frame(t) for t in range(20, 20 + phantom.period, 20))
        shown.append((phantom, next(frame for frame in frames if frame.mask.any())))
    return shown


def speckle(looks: int) -> NDArray[np.float64]:
    """dB of a medium that scatters everywhere alike, around the focus."""
    scanner = Scanner(looks=looks)
    phantom = Phantom(5, scanner=scanner, kind="intact")
    depth = ((np.arange(384) + 0.5) * scanner.depth_mm / 384).astype(np.float32)
    spread = PointSpread(scanner, depth, scanner.width_mm / 256)
    columns = 256 + 2 * spread.pad
    x = ((np.arange(columns) + 0.5) * scanner.width_mm / 256).astype(np.float32)
    view = tissue_view(phantom.anatomy, Pose(0, 0, 0, 0), 0, depth, x)
    field = Scatterers(5, looks, 384, columns).seen(view, 0, 0.3) * np.float32(0.05)
    grey = compress(spread.axial(spread.lateral(field, 0.25)), scanner, 0.0)
    return grey[130:260].astype(np.float64) / 255 * scanner.dynamic_range_db


@pytest.mark.parametrize(("looks", "deviation_db", "within"), [(1, 5.6, 0.4), (2, 3.5, 0.3)])
def test_speckle_has_the_statistics_of_its_looks(looks: int, deviation_db: float, within: float) -> None:
    decibels = speckle(looks)
    envelope = 10 ** (decibels / 20)
    assert decibels.std() == pytest.approx(deviation_db, abs=within)
    if looks == 1:  # Rayleigh: 1.91
        assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.1)


def test_same_seed_and_time_give_the_same_bytes_whatever_came_before() -> None:
    first, second = Phantom(90004), Phantom(90004)
    for t in (3, 99.5, 180):
        second.frame(t)
    for t in (0, 41.25):
        a, b = first.frame(t), second.frame(t)
        assert a.pixels.tobytes() == b.pixels.tobytes()
        assert a.mask.tobytes() == b.mask.tobytes()
    assert Phantom(90005).frame(0).pixels.tobytes() != first.frame(0).pixels.tobytes()


def test_motion_closes_after_one_period() -> None:
    phantom = Phantom(7)
    a, b, back = phantom.frame(12), phantom.frame(12 + phantom.period), phantom.frame(12 - phantom.period)
    assert a.pixels.tobytes() == b.pixels.tobytes() == back.pixels.tobytes()
    last, first = phantom.motion.at(phantom.period - 1e-6), phantom.motion.at(0)
    assert np.allclose(last, first, atol=1e-5)


def test_noise_differs_from_frame_to_frame() -> None:
    phantom = Phantom(7)
    assert not np.array_equal(phantom._scatterers.noise(1.0, 64, 64), phantom._scatterers.noise(2.0, 64, 64))


@pytest.mark.parametrize("seed", [90000, 90001, 90002, 90005])
def test_neighbouring_frames_correlate_as_a_moving_probe_does(seed: int) -> None:
    phantom = Phantom(seed)
    found = []
    for t in range(0, phantom.period, 40):
        a, b = (phantom.frame(t + step).pixels[60:200].ravel() for step in (0, 1))
        found.append(np.corrcoef(a, b)[0, 1])
    assert 0.85 < np.mean(found) < 0.995


def test_speckle_decorrelates_out_of_plane() -> None:
    phantom = Phantom(3)
    view = tissue_view(phantom.anatomy, Pose(0, 0, 0, 0), 0, phantom._depth, phantom._x(np.arange(256)))
    at = {mm: phantom._scatterers.seen(view, 0, mm).ravel() for mm in (0.0, 0.2, 0.8, 3.0)}
    near, mid, far = (np.corrcoef(at[0.0], at[mm])[0, 1] for mm in (0.2, 0.8, 3.0))
    assert near == pytest.approx(np.exp(-((0.2 / 0.8) ** 2)), abs=0.05)
    assert near > mid > far
    assert abs(far) < 0.05
    assert at[0.2].std() == pytest.approx(1.0, abs=0.02)


def test_kinds_follow_the_seed() -> None:
    assert kind_of(90001) == "full"
    assert {kind_of(seed) for seed in range(6)} == set(KINDS)
    assert sum(kind_of(seed) == "intact" for seed in range(600)) == 200
    assert Phantom(90001, kind="bursal").kind == "bursal"
    assert TRAIN[-1] < VALIDATE[0] and VALIDATE[-1] < HELD_OUT_FROM


def test_torn_kinds_have_a_mask_most_of_the_time_and_intact_ones_never() -> None:
    for seed in range(600, 618):
        phantom = Phantom(seed)
        torn = [phantom.frame(t).mask.any() for t in range(0, phantom.period, 48)]
        if phantom.kind == "intact":
            assert not any(torn)
        else:
            assert sum(torn) >= 4, seed


def test_every_hard_negative_occurs_among_the_intact() -> None:
    found = set()
    for seed in range(0, 3 * len(NEGATIVES) * 2, 3):
        findings = Phantom(seed).findings
        found |= {
            name
            for name, there in {
                "effusion": findings.effusion_mm > 0.8,
                "anisotropy": findings.anisotropy_db >= 15,
                "cartilage": findings.cartilage_mm > 1.4,
                "shadow": findings.negative == "shadow" and (findings.dropout or findings.side_shadow),
                "tendinosis": findings.tendinosis_db >= 4,
                "vessel": findings.vessel,
                "calcification": findings.calcification,
                "plain": findings.negative == "plain" and findings.effusion_mm == 0 and findings.anisotropy_db < 15,
            }.items()
            if there
        }
    assert found == set(NEGATIVES)


def test_mask_lies_inside_the_tendon(torn: list[tuple[Phantom, PhantomFrame]]) -> None:
    for phantom, frame in torn:
        assert phantom.tear is not None
        pose = phantom.motion.at(frame.t)
        openness = phantom.tear.openness(pose.elevation)
        view = tissue_view(phantom.anatomy, pose, openness, phantom._depth, phantom._x(np.arange(256)))
        surfaces = view.surfaces
        tendon = (view.tissue[:, None] >= surfaces.tendon) & (view.tissue[:, None] < surfaces.bone)
        assert frame.mask.any()
        outside = np.logical_not(tendon & (surfaces.s > 0))
        assert not (frame.mask & outside).any(), phantom.seed


def test_partial_tears_keep_to_their_side(torn: list[tuple[Phantom, PhantomFrame]]) -> None:
    fibres_left: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for phantom, frame in torn:
        pose = phantom.motion.at(frame.t)
        assert phantom.tear is not None
        openness = phantom.tear.openness(pose.elevation)
        view = tissue_view(phantom.anatomy, pose, openness, phantom._depth, phantom._x(np.arange(256)))
        u = view.across(slice(None))[frame.mask]
        fibres_left[phantom.kind].append((float(u.min()), float(1 - u.max())))  # on the bursal, on the articular side
    bursal, articular = (np.array(fibres_left[kind]) for kind in ("bursal", "articular"))
    assert bursal[:, 1].min() > 0.05 and articular[:, 0].min() > 0.05
    assert np.median(bursal[:, 0]) < 0.05 and np.median(articular[:, 1]) < 0.05
    assert np.array(fibres_left["intratendinous"]).min() > 0.02
    assert np.array(fibres_left["full"]).max(1).mean() < 0.2


def test_tears_are_darker_than_their_surroundings(torn: list[tuple[Phantom, PhantomFrame]]) -> None:
    darker = []
    for _, frame in torn:
        ring = binary_dilation(frame.mask, iterations=8) & np.logical_not(binary_dilation(frame.mask, iterations=2))
        darker.append(frame.pixels[frame.mask].mean() < frame.pixels[ring].mean())
    assert np.mean(darker) >= 0.85


def test_haze_and_not_blackness_fills_the_picture_under_bone(torn: list[tuple[Phantom, PhantomFrame]]) -> None:
    dark = [(frame.pixels < 16).mean() for _, frame in torn]
    assert 0.1 < np.mean(dark) < 0.35  # 74 real pictures have .10 to .50, the median .26


def test_millimetres_are_exact_and_shapes_as_asked() -> None:
    scanner = Scanner(depth_mm=40.0, width_mm=32.0)
    frame = Phantom(1, rows=200, columns=128, scanner=scanner).frame(0)
    assert frame.pixels.shape == frame.mask.shape == (200, 128)
    assert frame.pixels.dtype == np.uint8 and frame.mask.dtype == np.bool_
    assert frame.mm_per_pixel == (0.2, 0.25)
    default = Phantom(2)
    assert default.frame(0).pixels.shape == (384, 256)
    assert default.mm_per_pixel == (default.scanner.depth_mm / 384, default.scanner.width_mm / 256)


def test_isotropic_pixels_are_square_and_keep_the_area() -> None:
    frame = Phantom(90001).frame(5)
    pixels, mask, mm = isotropic(frame, 300)
    assert max(pixels.shape) == 300 and pixels.shape == mask.shape
    assert pixels.shape[0] * mm == pytest.approx(384 * frame.mm_per_pixel[0], abs=mm)
    assert pixels.shape[1] * mm == pytest.approx(256 * frame.mm_per_pixel[1], abs=mm)
    area = frame.mask.sum() * frame.mm_per_pixel[0] * frame.mm_per_pixel[1]
    assert mask.sum() * mm * mm == pytest.approx(area, rel=0.03)
    assert pixels.mean() == pytest.approx(frame.pixels.mean(), rel=0.03)


def test_scanners_differ_by_seed_and_stay_within_reason() -> None:
    scanners = [Scanner.of(seed) for seed in range(40)]
    assert len({scanner.depth_mm for scanner in scanners}) > 20
    assert {scanner.looks for scanner in scanners} == {1, 2, 3}
    assert all(7 < scanner.frequency_mhz < 13 for scanner in scanners)
    assert Scanner.of(3) == Scanner.of(3)


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="no kind of shoulder called 'frozen'"):
        Phantom(1, kind="frozen")
    with pytest.raises(ValueError, match="too small"):
        Phantom(1, rows=10)
    with pytest.raises(ValueError, match="cannot draw"):
        Scanner(depth_mm=0)
