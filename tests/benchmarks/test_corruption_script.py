"""A small share of benchmarks/corruption.py, on files made here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
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
        what, words, _ = corruption.outcome(path)
        assert what not in corruption.BUGS, (seed, words)


def test_the_result_is_written_form_by_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, folder = tmp_path / "found.json", tmp_path / "files"
    folder.mkdir()
    for form in ("png", "mha"):
        whole(form, folder)
    shutil.copy(folder / "whole.png", folder / "again.png")
    for only in (".png", ".mha"):  # in pieces, as a long run is
        argv = ["corruption.py", str(folder), "--each", "12", "--only", only, "--out", str(out)]
        monkeypatch.setattr(sys, "argv", argv)
        assert corruption.main() == 0
    told = json.loads(out.read_text())
    assert told["device"] and told["versions"]["smartca"] and list(told["forms"]) == [".png", ".mha"]
    for form, files in ((".png", 2), (".mha", 1)):
        report = told["forms"][form]
        assert report["files"] == files and report["corruptions"] == 12
        assert report["pictures"] + report["sentences"] == 12 and report["sentences"] > 0
        assert report["pictures_unchanged"] <= report["pictures"]
        assert 20 < report["peak_memory_mb"] < 2000 and 0 < report["slowest_s"] < 10


def test_undamaged_files_come_out_unchanged(tmp_path: Path) -> None:
    path = whole("mha", tmp_path)
    right = corruption.outcome(path)
    assert right.what == "pictures" and right == corruption.outcome(path)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 64 40 3", b"DimSize = 40 64 3"))
    assert corruption.outcome(path).digest != right.digest


@pytest.mark.timeout(180)  # the process that hangs is waited for
def test_a_process_that_dies_or_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corruption, "GRACE", 12)
    monkeypatch.setattr(corruption, "damaged_files", _second_dies)
    form = corruption.judged([whole("png", tmp_path)], b"", 4)
    assert form.as_report()["corruptions"] == 4
    assert (form.counts["crash"], form.counts["hang"], form.counts["pictures"]) == (1, 1, 2)


def _second_dies(paths: list[Path], other: bytes, seeds: range, tell: corruption.Connection) -> None:
    """The second file's process dies, the third's says nothing."""
    for seed in seeds:
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed == 2:
            signal.pause()
        tell.send((corruption.outcome(paths[0]), True, 0.1, 100.0))
