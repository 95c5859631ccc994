"""Which processors are quick with what: one answer for engines, builds, the bench and the doctor."""

from __future__ import annotations

import pytest
from smartca.commands import doctor
from smartca.engine.building.build import usual_precision
from smartca.engine.cpu.capabilities import has_bf16, quick_int8
from smartca.engine.cpu.openvino_import import the_core
from smartca.engine.machine import Processor, processor


@pytest.mark.parametrize(
    ("instructions", "quick"),
    [
        (("AVX2", "AVX-VNNI"), True),
        (("AVX2", "AVX-512", "AVX-512 VNNI"), True),
        (("AMX INT8", "AMX BF16"), True),
        (("AVX2", "AVX-512", "AVX-512 BF16"), False),
        (("NEON", "NEON dot product", "Arm I8MM", "Arm BF16", "SVE"), False),
        ((), False),
        (None, False),
    ],
)
def test_int8(instructions: tuple[str, ...] | None, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Processor("some processor", instructions)
    assert quick_int8(found) is quick
    monkeypatch.setattr(doctor, "processor", lambda: found)
    (told,) = doctor._cpu()
    assert (told.state == "ok") is quick
    assert ("INT8 brings little here" in told.words) == (not quick and instructions is not None)


def test_here_they_agree_with_the_machine() -> None:
    assert quick_int8() == quick_int8(processor())
    assert has_bf16() == has_bf16(the_core())
    assert usual_precision("openvino", False) == ("bf16" if has_bf16() else "fp32")
    assert usual_precision("tensorrt", False) == "fp16" and usual_precision("openvino", True) == "int8"
