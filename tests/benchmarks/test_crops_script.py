"""benchmarks/crops.py: what it counts, on real pictures where they are here, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import crops
import pytest
from support.paths import SHARED


def test_shares_by_hand() -> None:
    total = crops.Steadiness()
    total.add(True, [True, True, True, False], [0.5, 0.7])
    total.add(False, [True, False, False, False], [0.1])
    report = total.as_report()
    assert (report["frames"], report["whole_found"], report["crops"]) == (2, 1, 8)
    assert report["crops_found_share"] == 0.5 and report["crops_found_share_of_found_frames"] == 0.75
    assert report["agreement_median_dice"] == 0.5 and report["agreement_pairs"] == 3
    assert crops.Steadiness().as_report()["crops_found_share"] is None


def test_what_cannot_be_measured_is_said(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, said in ((["--frames", "0"], "count from 1"), ([], "holds no file clips/telemed")):
        monkeypatch.setattr(sys, "argv", ["crops.py", str(tmp_path), "--model", str(network), *arguments])
        with pytest.raises(SystemExit, match=said):
            crops.main()


@pytest.mark.skipif(not (SHARED / "clips").is_dir(), reason="the shared real pictures are not here")
def test_a_network_that_sees_brightness_is_counted(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "r.json"
    arguments = [SHARED, "--model", network, "--frames", 3, "--crops", 2, "--json", report]
    monkeypatch.setattr(sys, "argv", ["crops.py", *map(str, arguments)])
    crops.main()
    found = json.loads(report.read_text())
    assert found["phantoms"]["frames"] == found["stand-ins"]["frames"] == 3
    assert found["phantoms"]["crops"] == 6 and len(found["model_sha256"]) == 64
