"""A folder of labelled pictures beside a study's TOML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = tuple[str, NDArray[np.uint8], NDArray[np.uint8], str]  # name, pixels, mask, split


def write_folder(root: Path, pictures: Iterable[Picture]) -> None:
    """images/, masks/ and split.csv below `root`."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    lines = ["file,split"]
    for name, pixels, mask, split in pictures:
        cv2.imwrite(str(root / "images" / name), pixels)
        cv2.imwrite(str(root / "masks" / name), mask)
        lines.append(f"{name},{split}")
    (root / "split.csv").write_text("\n".join(lines))
