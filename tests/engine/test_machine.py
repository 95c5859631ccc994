"""Which GPUs CUDA sees, and in which order: nvidia-smi lists all of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from smartca.engine.machine import read_gpus, visible

LINES = [
    "0, GPU-1111aaaa-0000, Quadro T400, 7.5, 550.54, 2048",
    "1, GPU-2222aaaa-0000, NVIDIA GeForce RTX 4090, 8.9, 550.54, 24564",
    "2, GPU-2222bbbb-0000, NVIDIA RTX A6000, 8.6, 550.54, 49140",
]


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (None, ["sm75", "sm89", "sm86"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", ["sm89"]),
        (" 2 , 0", ["sm86", "sm75"]),
        ("2,7,0", ["sm86"]),
        ("1,1", []),
        ("GPU-1111aaaa-0000", ["sm75"]),
        ("GPU-2222b,GPU-1", ["sm86", "sm75"]),
        ("GPU-2222,GPU-1", []),
        ("MIG-3333cccc-0000", ["sm75", "sm89", "sm86"]),
    ],
)
def test_the_mask_of_cuda_is_ours(mask: str | None, wanted: list[str]) -> None:
    assert [gpu.target for gpu in read_gpus(visible(LINES, mask))] == wanted


@pytest.mark.parametrize("mask", ["0", "1,2", "2,7,0", "1,1", "-1", "", "0,-1,2"])
def test_torch_reads_numbers_as_we_do(mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = pytest.importorskip("torch.cuda", reason="torch is absent")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    theirs = cuda._parse_visible_devices()
    seen = theirs[: next((place for place, number in enumerate(theirs) if number >= len(LINES)), len(theirs))]
    assert visible(LINES, mask) == [LINES[number].split(", ", 2)[2] for number in seen]


@pytest.mark.parametrize(("before", "after"), [(None, "PCI_BUS_ID"), ("FASTEST_FIRST", "FASTEST_FIRST")])
def test_cuda_counts_as_nvidia_smi_does(before: str | None, after: str) -> None:
    said = {name: value for name, value in os.environ.items() if name != "CUDA_DEVICE_ORDER"}
    said |= {} if before is None else {"CUDA_DEVICE_ORDER": before}
    words = "import os, smartca.engine.machine; print(os.environ['CUDA_DEVICE_ORDER'])"
    done = subprocess.run([sys.executable, "-c", words], env=said, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after
