"""A clinic made of phantoms: a handful of labelled frames of several patients, and weights to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.phantom import KINDS, TRAIN, Phantom, isotropic, kind_of
from smartca.train.fit import Fit, FitSettings
from smartca.train.settings import Lessons, Running

SIZE = 64
TORN = [seed for seed in TRAIN[500:600] if kind_of(seed) != KINDS[0]]
HEALTHY = [seed for seed in TRAIN[500:600] if kind_of(seed) == KINDS[0]]


def frames_in(root: Path, torn: int, healthy: int) -> Path:
    """images/ and masks/ of phantoms, 96 pixels long, called t0.png, ... and h0.png, ..."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    named = [(f"t{n}", seed) for n, seed in enumerate(TORN[:torn])]
    named += [(f"h{n}", seed) for n, seed in enumerate(HEALTHY[:healthy])]
    for name, seed in named:
        pixels, mask, _ = isotropic(Phantom(seed).frame(0.0), 96)
        cv2.imwrite(str(root / "images" / f"{name}.png"), pixels)
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask.astype(np.uint8))
    return root


def write_patients(root: Path, each: Sequence[tuple[str, str]]) -> None:
    """patients.csv of (file without ending, patient)."""
    (root / "patients.csv").write_text("\n".join(["file,patient", *(f"{name}.png,{whose}" for name, whose in each)]))


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames with a tear and four without."""
    return frames_in(tmp_path_factory.mktemp("clinic") / "frames", 8, 4)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, frames: Path) -> Path:
    """A checkpoint of a few steps on phantoms."""
    from smartca.pictures.datasets import open_data

    lessons = Lessons(open_data(frames, "all"), open_data(frames, "all"))
    fit = Fit(FitSettings(size=SIZE, batch=8, steps=12), lessons, tmp_path_factory.mktemp("start"), Running())
    fit.run()
    return fit.best


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is recorded or built here is not the user's."""
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
