"""Which layers suffer from INT8: each group of convolutions is quantised alone, and the harm measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.contract import Answer
from ...engine.operating_point import OperatingPoint
from ...pictures.pixels import Grey
from .network import WatchedNetwork
from .quantise import convolutions, loosened

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MOST_GROUPS = 32
FEWEST_GROUPS = 4
CHUNKS = 12  # of a network whose weights have no telling names
CERTAIN = 1e-6


class Harm(NamedTuple):
    """A group, its convolutions' names, and what INT8 there alone does: mask pixels changed, mean change of q."""

    group: str
    layers: list[str]
    disagreement: float
    change: float


def groups(model: ModelProto) -> dict[str, list[str]]:
    """Names of the convolutions by part of the network, in its order.

    By the first words of their weights' names, as many as make no more than 32 groups; by place in the graph where
    the names tell nothing.
    """
    layers = convolutions(model)
    found: dict[str, list[str]] = {}
    for words in (5, 4, 3, 2, 1):
        found = {}
        for node in layers:
            found.setdefault(_part(node, words), []).append(node.name)
        if len(found) <= MOST_GROUPS:
            break
    if FEWEST_GROUPS <= len(found) <= MOST_GROUPS:
        return found
    chunks = np.array_split([node.name for node in layers], min(CHUNKS, len(layers)))
    return {f"layers {number + 1} of {len(chunks)}": chunk.tolist() for number, chunk in enumerate(chunks)}


def _part(node: NodeProto, words: int) -> str:
    """'network.pretrained.stages.2.0.conv_pw.weight' -> 'pretrained.stages.2' for three words."""
    name = re.sub(r"^(network|model|module)\.", "", node.input[1])
    return ".".join(name.split(".")[:-1][:words])


def measure(
    narrow: ModelProto,
    exact: ModelProto,
    squares: Sequence[Grey],
    answers: Sequence[Answer],
    point: OperatingPoint,
    tell: Callable[[int, int], None],
    threads: int = 1,
) -> list[Harm]:
    """The harm of every group, the greatest first; `answers` are the exact network's about `squares`."""
    parts = groups(exact)
    found = []
    for done, (group, layers) in enumerate(parts.items()):
        tell(done, len(parts))
        rest = {name for other, names in parts.items() if other != group for name in names}
        alone = WatchedNetwork(loosened(narrow, exact, rest), threads=threads).answers(squares)
        found.append(Harm(group, layers, *difference(alone, answers, point)))
    tell(len(parts), len(parts))
    return sorted(found, key=lambda harm: (-harm.disagreement, -harm.change))


def difference(some: Sequence[Answer], others: Sequence[Answer], point: OperatingPoint) -> tuple[float, float]:
    """Pixels on the other side of the threshold as a share of those outlined, and the mean change of q."""
    threshold = point.raw_threshold
    changed = marked = 0
    for one, other in zip(some, others, strict=True):
        mine, its = one.q >= threshold, other.q >= threshold
        changed += int((mine != its).sum())
        marked += int(mine.sum() + its.sum())
    change = float(np.mean([np.abs(one.q - other.q).mean() for one, other in zip(some, others, strict=True)]))
    return changed / max(marked, 1), change
