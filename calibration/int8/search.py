"""From pictures to ranges, and to the layers that may be narrow: the search for an INT8 network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...engine import onnx_graph
from ...engine.contract import Answer, Progress
from ...engine.operating_point import OperatingPoint
from . import picture_choice as pictures
from .corrections import biases_corrected, heads_corrected
from .findings import Int8Findings, Material
from .gate import Limits, judge
from .network import WatchedNetwork
from .picture_choice import CalibrationPicture, PictureChoice
from .quantise import convolutions, loosened, quantised
from .ranges import METHODS, ValueSpread, ranges, spreads
from .sensitivity import difference, measure

if TYPE_CHECKING:
    from onnx import ModelProto

Item = TypeVar("Item")
TUNED_ON = 24  # pictures that methods and layers are chosen by: neither the ranges' own nor the gate's
CORRECTED_ON = 16
WATCHED_ON = 8  # for each group of layers
TRIES = 6  # groups given back to fp32 before it is given up


class Search:
    """From pictures to the Q/DQ network, one step after the other; `found` gathers what is worth telling."""

    def __init__(
        self,
        exact: ModelProto,
        material: Material,
        point: OperatingPoint,
        progress: Progress,
        limits: Limits,
        threads: int,
        run: type[WatchedNetwork],
    ) -> None:
        self._run, self._narrow = run, exact
        self._tried: dict[int, ModelProto] = {}
        self._exact, self._point, self._progress, self._threads = exact, point, progress, threads
        squares = [shown.square for shown in material.calibrate]
        choice = pictures.choose_pictures(squares)
        self.found = Int8Findings(material, choice, layers=len(convolutions(exact)), limits=limits)
        self._chosen = [squares[index] for index in choice.chosen]
        self._tuning = _tuning(material.calibrate, choice)
        self._answers = self._ask(exact)

    def run(self) -> Int8Findings:
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
        self._narrow = narrow
        self._take(self._loosen())
        return self.found

    def _ask(self, network: ModelProto) -> list[Answer]:
        return self._run(network, threads=self._threads).answers(shown.square for shown in self._tuning)

    def _spreads(self) -> dict[str, ValueSpread]:
        inputs = sorted({node.input[0] for node in convolutions(self._exact)})
        network = WatchedNetwork(self._exact, inputs, self._threads)

        def told() -> Iterator[dict[str, NDArray[np.float32]]]:
            for done, tensors in enumerate(network.watch(self._chosen), 1):
                yield tensors
                self._progress("reading ranges", done, len(self._chosen))

        return spreads(told())

    def _best_method(self, seen: dict[str, ValueSpread]) -> ModelProto:
        """The Q/DQ network by the method that changes least on the tuning pictures."""
        made, found = {}, self.found
        for done, method in enumerate(METHODS):
            self._progress("comparing ways to find ranges", done, len(METHODS))
            made[method] = quantised(self._exact, ranges(seen, method))
            found.methods[method] = difference(self._ask(made[method]), self._answers, self._point)
        self._progress("comparing ways to find ranges", len(METHODS), len(METHODS))
        found.method = min(found.methods, key=lambda method: found.methods[method])
        return made[found.method]

    def _loosen(self) -> int:
        """How many of the most harmful groups are given back to fp32 until the limits hold on the tuning pictures.

        Where they never do, the fewest that come nearest; the gate decides.
        """
        refusals: list[int] = []
        for number in range(self._most + 1):
            self._progress("giving sensitive layers back to fp32", number, self._most + 1)
            limits = self.found.limits.to_choose_by()
            verdict = judge(self._answers, self._ask(self._without(number)), self._tuning, self._point, limits)
            refusals.append(len(verdict.refusals))
            if verdict.accepted or verdict.scores["agreement"] is None:  # nothing to see, whatever is given back
                break
        self._progress("giving sensitive layers back to fp32", self._most + 1, self._most + 1)
        return refusals.index(min(refusals))

    def give_back(self) -> bool:
        """One more group in fp32 than the gate has just refused; False where there is none to give."""
        number = len(self.found.kept) + 1
        if number > self._most or self.found.verdict.scores["agreement"] is None:
            return False
        self._take(number)
        return True

    @property
    def _most(self) -> int:
        """Groups that may be given back; one stays narrow, or there would be no INT8."""
        return min(TRIES, len(self.found.harms) - 1)

    def _without(self, number: int) -> ModelProto:
        """The network with so many of the most harmful groups in fp32."""
        if number not in self._tried:
            kept = {layer for harm in self.found.harms[:number] for layer in harm.layers}
            loose, few = loosened(self._narrow, self._exact, kept), self._chosen[:CORRECTED_ON]
            self._tried[number] = heads_corrected(loose, self._exact, few, self._threads, self._run)
        return self._tried[number]

    def _take(self, number: int) -> None:
        found = self.found
        found.network = onnx_graph.in_order(self._without(number)).SerializeToString()
        found.kept = [harm.group for harm in found.harms[:number]]
        found.narrow_layers = found.layers - sum(len(harm.layers) for harm in found.harms[:number])


def _tuning(candidates: Sequence[CalibrationPicture], choice: PictureChoice) -> list[CalibrationPicture]:
    """Pictures that no range was taken from, evenly spread, of near-duplicates only one.

    The chosen ones themselves where there are no others.
    """
    taken = set(choice.chosen)
    rest = [shown for index, shown in enumerate(candidates) if index not in taken]
    rest = rest or [candidates[index] for index in choice.chosen]
    rest = _spread(rest, TUNED_ON)
    return [rest[index] for index in sorted(pictures.choose_pictures([shown.square for shown in rest]).chosen)]


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[int(place)] for place in places]
