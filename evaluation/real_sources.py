"""Which real pictures without a torn cuff a network is judged by, and what of them training may have seen.

`docs/negatives.csv` lists what training learns from and chooses by; nothing that is KEPT_OUT here stands in it.
**Hips**: of stills_joint_hip the numbers up to 25 are for training (up to 18 to learn from, 19 to 25 held back), those
from 26 on are kept out: neighbours in number, which may show one infant, stay on one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..pictures.filetypes import is_hidden
from ..stream.sources import open_source
from .samples import Sample, samples

FIRST_HIP_KEPT_OUT = 26


class RealSource(NamedTuple):
    """Files below the data's folder. `seen`: what of it training uses, in words; empty where it is kept out."""

    name: str
    pattern: str
    seen: str = ""


# healthy muscle, tendon, nerve and bone; the composites are made of these
KEPT_OUT = (
    RealSource("Telemed passive ROM clip", "clips/telemed_gastroc_passive_ROM_01_push_01.mp4"),
    RealSource("Philips Sparq stills", "stills_msk/sparq_*.png"),
    RealSource("Philips Sparq DICOM", "dicom/still_sparq_*.dcm"),
    RealSource("BoneUltrasound_L14", "plus/BoneUltrasound_L14.igs.mha"),
    RealSource("infant hips kept out", "stills_joint_hip/hip_*.png"),
)
PARTLY_SEEN = (
    RealSource("lung, linear", "clips/lus_linear_*.mp4", "every 10th frame is learnt from"),
    RealSource("lung, convex", "clips/lus_convex_*.mpeg", "every 15th frame is learnt from"),
)
OTHER_ORGANS = (
    RealSource("heart, SonoSite", "dicom/cine_cardiac_*.dcm"),
    RealSource("ocular phantom, Clarius", "clips/clarius_ocular_short.mp4"),
    RealSource("ocular phantom, Butterfly", "clips/butterfly_ocular_phantom.mp4"),
    RealSource("breast without a lesion, BUSI", "seg_lesion_busi/images/normal_*.png"),
    RealSource("wires, BK endocavity", "plus/SegmentationTest_BKMedical_*.mha"),
    RealSource("curvilinear phantom, Ultrasonix", "plus/UltrasonixCurvilinear*.mha"),
)


def files_of(data: Path, source: RealSource) -> list[Path]:
    """Its files in the folder `data`, each of which opens.

    Raises InputError where there is none, or the pattern leaves `data`; what `open_source` raises where one is damaged.
    """
    if not source.pattern or Path(source.pattern).is_absolute():
        raise InputError(f"the pattern '{source.pattern}' is not relative to {data}; give one like clips/*.mp4")
    found = [file for file in sorted(data.glob(source.pattern)) if file.is_file() and not is_hidden(Path(file.name))]
    files = [file for file in found if not (source.name == KEPT_OUT[-1].name and learnt_hip(file.name))]
    if not files:
        raise InputError(f"{data} holds no file {source.pattern}; give the folder with clips/ and stills_msk/")
    for file in files:
        open_source(str(file)).close()
    return files


def learnt_hip(name: str) -> bool:
    """Whether the hip of that file name is in training's half. Raises InputError for a name without a number."""
    number = re.search(r"(\d+)", name)
    if number is None:
        raise InputError(f"{name} has no number, so nobody can tell whether it was learnt from; take it away")
    return int(number[1]) < FIRST_HIP_KEPT_OUT


def every(files: list[Path]) -> Iterator[Sample]:
    """All pictures of all files, each with its sector."""
    for file in files:
        yield from samples(str(file), "test", None).each
