"""What an ONNX file says of itself in its metadata_props, so that its meaning travels with its weights.

The operating point is there too, under `onnx_bytes.POINT_KEY`; see `operating_point.store_point`.
"""

from __future__ import annotations

from pathlib import Path

from .. import onnx_bytes
from ..version import __version__
from .plan import NORMALISATION

TEAR = "tear"
Q = f"q: confidence of a {TEAR} in 0..1, of every pixel"
PICTURE = "picture: probability that there is a tear anywhere, and how unlike the pictures learnt from this one is"


def passport(network: str, size: int, tells_more: bool = False, **others: str) -> dict[str, str]:
    """The metadata of a network called `network` that keeps the contract at `size` pixels; see `Answer`.

    tells_more: it has the second output, which two of the operating point's gates look at. others: further facts.
    """
    facts = {
        "version": __version__,
        "network": network,
        "size": str(size),
        "input": f"float32 (1, 1, {size}, {size}) in 0..1",
        "normalisation": NORMALISATION,
        "output": f"{Q}; {PICTURE}" if tells_more else Q,
        "labels": TEAR,
        **others,
    }
    return {f"smartca.{name}": value for name, value in facts.items()}


def read_passport(model: Path) -> dict[str, str]:
    """What the file says of itself, without 'smartca.'; empty where it is none of ours."""
    told = onnx_bytes.metadata(model.read_bytes())
    ours = {key.removeprefix("smartca."): value for key, value in told.items() if key.startswith("smartca.")}
    ours.pop(onnx_bytes.POINT_KEY.removeprefix("smartca."), None)
    return ours
