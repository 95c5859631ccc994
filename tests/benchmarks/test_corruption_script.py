"""A small share of benchmarks/corruption.py, on files made here."""

from __future__ import annotations

import zlib
from pathlib import Path

import corruption
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless
from support.dicom_files import dataset, jpegs, pictures, written

EACH = 24


def whole(form: str, place: Path) -> Path:
    path = place / f"whole.{form.rpartition(' ')[2]}"
    if form == "png":
        Image.fromarray(pictures()[0]).save(path)
    elif form == "mha":
        head = "NDims = 3\nDimSize = 64 40 3\nElementType = MET_UCHAR\nCompressedData = True\nElementDataFile = LOCAL\n"
        path.write_bytes(head.encode() + zlib.compress(pictures(3).tobytes()))
    elif form == "nrrd":
        head = "NRRD0005\ntype: uint8\ndimension: 3\nsizes: 3 64 40\nkinds: list domain domain\nencoding: raw\n\n"
        path.write_bytes(head.encode() + pictures(3).transpose(1, 2, 0).tobytes())
    else:
        ds = dataset(pictures(3))
        if form.startswith("jpeg"):
            ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
            ds.PixelData = encapsulate([jpegs(pictures(), "JPEG")])
            ds["PixelData"].is_undefined_length = True
        elif form.startswith("rle"):
            ds.compress(RLELossless)
        written(path, ds)
    return path


@pytest.mark.parametrize("form", ["png", "mha", "nrrd", "dcm", "jpeg dcm", "rle dcm"])
def test_damaged_at_random(form: str, tmp_path: Path) -> None:
    path = whole(form, tmp_path)
    content = path.read_bytes()
    for seed in range(EACH):
        path.write_bytes(corruption.damaged(content, seed, b"II*\0" * 500))
        what, words = corruption.outcome(path)
        assert what not in corruption.BUGS, (seed, words)
