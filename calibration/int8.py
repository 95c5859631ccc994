"""An INT8 network that is proved: from pictures to ranges, to the layers that may be narrow, to the gate's verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..engine import onnx_graph
from ..engine.operating_point import OperatingPoint
from ..engine.pixels import to_input
from ..engine.runner import Answer, EngineError
from . import frames as pictures
from .corrections import biases_corrected, heads_corrected
from .frames import Choice, Shown
from .gate import Limits, Scores, Verdict, judge
from .network import CpuNetwork, Network
from .quantise import convolutions, loosened, named, quantised
from .ranges import METHODS, Spread, ranges, spreads
from .sensitivity import Harm, difference, measure

if TYPE_CHECKING:
    from onnx import ModelProto

Progress = Callable[[str, int, int], None]
Item = TypeVar("Item")
TUNED_ON = 24  # pictures that methods and layers are chosen by: neither the ranges' own nor the gate's
CORRECTED_ON = 16
WATCHED_ON = 8  # for each group of layers
ASKING = "the gate: asking both precisions"
TRIES = 6  # groups given back to fp32 before the gate has to decide


@dataclass(frozen=True, slots=True)
class Material:
    """Pictures to calibrate with, pictures for the gate, and where each came from, in words."""

    calibrate: Sequence[Shown]
    gate: Sequence[Shown]
    calibrate_words: str
    gate_words: str


@dataclass(slots=True)
class Findings:
    """Everything that was found on the way, for the report and the sidecar."""

    material: Material
    chosen: Choice = field(default_factory=lambda: Choice([], []))
    methods: dict[str, tuple[float, float]] = field(default_factory=dict)  # share of pixels changed, change of q
    method: str = ""
    harms: list[Harm] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # groups that stay in fp32
    narrow_layers: int = 0
    layers: int = 0
    judged_by: str = ""
    verdict: Verdict = field(default_factory=lambda: Verdict({}))
    network: bytes = b""
    limits: Limits = field(default_factory=Limits)  # what the gate held it to
    exact: list[Answer] = field(default_factory=list)  # of the gate's pictures, in fp32
    narrow: list[Answer] = field(default_factory=list)  # and in INT8

    @property
    def scores(self) -> Scores:
        """For the sidecar."""
        return {
            **self.verdict.scores,
            "data": self.material.gate_words,
            "judged_by": self.judged_by,
            "pictures_for_ranges": len(self.chosen.chosen),
            "ranges": self.method,
            "layers_in_int8": f"{self.narrow_layers} of {self.layers} convolutions",
            "kept_in_fp32": ", ".join(self.kept) or None,
        }

    def require(self) -> None:
        """Raises EngineError where the gate refuses: by how much, and what to try."""
        if self.verdict.accepted:
            return
        lost = "; ".join(self.verdict.refusals)
        raise EngineError(
            f"the gate refuses this INT8 engine ({self.verdict.scores.get('frames', 0)} frames of "
            f"{self.material.gate_words}): {lost}. Calibrate with pictures that show what the engine will see "
            f"(--calibrate, --gate), or build with --precision bf16 or fp16"
        )


def find(
    data: bytes,
    name: str,
    material: Material,
    point: OperatingPoint,
    progress: Progress,
    on_cpu: bool = True,
    limits: Limits | None = None,
    threads: int = 1,
) -> Findings:
    """Make the INT8 network of `data`, the bytes of an fp32 ONNX file, and let the gate judge it.

    on_cpu: judged as OpenVINO computes it here; else exactly as its Q/DQ nodes are written, as TensorRT does. Raises
    EngineError where the network cannot be quantised, ValueError without pictures.
    """
    exact = named(onnx_graph.read(data, name))
    if not convolutions(exact):
        raise EngineError(f"{name} holds no convolution to compute in INT8: use --precision fp32")
    run = CpuNetwork if on_cpu else Network
    search = _Search(exact, material, point, progress, limits or Limits(), threads, run)
    if not material.gate:
        raise ValueError(f"there is not one picture for the gate in {material.gate_words}; give it some with --gate")
    found = search.run()
    ask = _in_openvino if on_cpu else _as_written
    progress(ASKING, 0, 2)
    found.exact, found.judged_by = ask(data, name, material.gate, threads)
    progress(ASKING, 1, 2)
    found.narrow, _ = ask(found.network, name, material.gate, threads)
    found.verdict = judge(found.exact, found.narrow, material.gate, point, found.limits)
    progress(ASKING, 2, 2)
    return found


class _Search:
    """From pictures to the Q/DQ network, one step after the other; `found` gathers what is worth telling."""

    def __init__(
        self,
        exact: ModelProto,
        material: Material,
        point: OperatingPoint,
        progress: Progress,
        limits: Limits,
        threads: int,
        run: type[Network],
    ) -> None:
        self._run = run
        self._exact, self._point, self._progress, self._threads = exact, point, progress, threads
        squares = [shown.square for shown in material.calibrate]
        choice = pictures.choose(squares)
        self.found = Findings(material, choice, layers=len(convolutions(exact)), limits=limits)
        self._chosen = [squares[index] for index in choice.chosen]
        self._tuning = _tuning(material.calibrate, choice)
        self._answers = self._ask(exact)

    def run(self) -> Findings:
        """Ranges, method, biases, sensitive layers."""
        narrow = self._best_method(self._spreads())
        narrow = biases_corrected(narrow, self._exact, self._chosen[:CORRECTED_ON], self._threads)
        few = _spread(range(len(self._tuning)), WATCHED_ON)
        self.found.harms = measure(
            narrow,
            self._exact,
            [self._tuning[index].square for index in few],
            [self._answers[index] for index in few],
            self._point,
            lambda done, total: self._progress("looking for sensitive layers", done, total),
            self._threads,
        )
        self.found.network = onnx_graph.in_order(self._loosen(narrow)).SerializeToString()
        return self.found

    def _ask(self, network: ModelProto) -> list[Answer]:
        return self._run(network, threads=self._threads).answers(shown.square for shown in self._tuning)

    def _spreads(self) -> dict[str, Spread]:
        inputs = sorted({node.input[0] for node in convolutions(self._exact)})
        network = Network(self._exact, inputs, self._threads)

        def told() -> Iterator[dict[str, NDArray[np.float32]]]:
            for done, tensors in enumerate(network.watch(self._chosen), 1):
                yield tensors
                self._progress("reading ranges", done, len(self._chosen))

        return spreads(told())

    def _best_method(self, seen: dict[str, Spread]) -> ModelProto:
        """The Q/DQ network by the method that changes least on the tuning pictures."""
        made, found = {}, self.found
        for done, method in enumerate(METHODS):
            self._progress("comparing ways to find ranges", done, len(METHODS))
            made[method] = quantised(self._exact, ranges(seen, method))
            found.methods[method] = difference(self._ask(made[method]), self._answers, self._point)
        self._progress("comparing ways to find ranges", len(METHODS), len(METHODS))
        found.method = min(found.methods, key=lambda method: found.methods[method])
        return made[found.method]

    def _loosen(self, narrow: ModelProto) -> ModelProto:
        """Give the most harmful groups back to fp32, one after the other, until the limits hold on the tuning pictures.

        Where they never do, the one of the fewest that comes nearest; the gate decides.
        """
        found, kept, tried = self.found, set[str](), []
        tries = min(TRIES, len(found.harms) - 1) + 1
        for number in range(tries):
            self._progress("giving sensitive layers back to fp32", number, tries)
            kept.update(layer for harm in found.harms[:number] for layer in harm.layers)
            loose = loosened(narrow, self._exact, kept)
            trial = heads_corrected(loose, self._exact, self._chosen[:CORRECTED_ON], self._threads, self._run)
            verdict = judge(self._answers, self._ask(trial), self._tuning, self._point, found.limits.to_choose_by())
            tried.append((len(verdict.refusals), number, trial))
            if verdict.accepted or verdict.scores["agreement"] is None:  # nothing to see, whatever is given back
                break
        self._progress("giving sensitive layers back to fp32", tries, tries)
        _, number, best = min(tried, key=lambda one: one[:2])
        found.kept = [harm.group for harm in found.harms[:number]]
        found.narrow_layers = found.layers - sum(len(harm.layers) for harm in found.harms[:number])
        return best


def _tuning(candidates: Sequence[Shown], choice: Choice) -> list[Shown]:
    """Pictures that no range was taken from, evenly spread, of near-duplicates only one.

    The chosen ones themselves where there are no others.
    """
    taken = set(choice.chosen)
    rest = [shown for index, shown in enumerate(candidates) if index not in taken]
    rest = rest or [candidates[index] for index in choice.chosen]
    rest = _spread(rest, TUNED_ON)
    return [rest[index] for index in sorted(pictures.choose([shown.square for shown in rest]).chosen)]


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[int(place)] for place in places]


def _as_written(data: bytes, name: str, gate: Sequence[Shown], threads: int) -> tuple[list[Answer], str]:
    network = Network(onnx_graph.read(data, name), threads=threads)
    return network.answers(shown.square for shown in gate), "onnxruntime on the CPU, Q/DQ nodes as written"


def _in_openvino(data: bytes, name: str, gate: Sequence[Shown], threads: int) -> tuple[list[Answer], str]:
    from ..engine.ov import OpenVinoRunner

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(data)
        with OpenVinoRunner(path, "fp32", threads) as runner:
            return [runner.infer(to_input(shown.square)) for shown in gate], runner.info.backend
