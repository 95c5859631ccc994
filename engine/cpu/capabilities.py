"""Which precisions this processor is quick with in OpenVINO: said here for engines, builds and `smartca doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..machine import Processor, processor

if TYPE_CHECKING:
    import openvino as ov

# Without one of these, INT8 is slower than bf16 or hardly quicker than fp32. OpenVINO itself tells INT8 of every
# processor. Arm's dot products (NEON, I8MM) are left out: OpenVINO's Arm plugin computes in INT8 only convolutions with
# one scale for all channels, and ours have one a channel; the rest falls back to floating point, quantising on top.
DOT_PRODUCTS = ("AVX-VNNI", "AVX-512 VNNI", "AMX INT8")


def quick_int8(found: Processor | None = None) -> bool:
    """Whether `found` (this machine's processor) computes INT8 more quickly than bf16 and fp32.

    No where the system does not tell its instruction sets.
    """
    return any(name in DOT_PRODUCTS for name in (found or processor()).instructions or ())


def has_bf16(core: ov.Core | None = None) -> bool:
    """Whether this processor has bf16 of its own: without, OpenVINO would imitate it, more slowly than fp32.

    OpenVINO is asked, as it alone knows what it makes use of; it makes none of Arm's bf16.
    """
    if core is None:
        from .openvino_import import the_core

        core = the_core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
