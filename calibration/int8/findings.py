"""What an INT8 network is made of and judged by, and everything that is found on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...engine.contract import Answer, EngineError
from .gate import GateScores, Limits, Verdict
from .picture_choice import CalibrationPicture, PictureChoice
from .sensitivity import Harm


@dataclass(frozen=True, slots=True)
class Material:
    """Pictures to calibrate with, pictures for the gate, and where each came from, in words."""

    calibrate: Sequence[CalibrationPicture]
    gate: Sequence[CalibrationPicture]
    calibrate_words: str
    gate_words: str


@dataclass(slots=True)
class Int8Findings:
    """Everything that was found on the way, for the report and the build sheet."""

    material: Material
    chosen: PictureChoice = field(default_factory=lambda: PictureChoice([], []))
    methods: dict[str, tuple[float, float]] = field(default_factory=dict)  # share of pixels changed, change of q
    method: str = ""
    harms: list[Harm] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # groups that stay in fp32
    narrow_layers: int = 0
    layers: int = 0
    judged_by: str = ""
    judged_on_target: bool = False  # by the library that will run it, on this machine
    verdict: Verdict = field(default_factory=lambda: Verdict({}))
    asked: int = 0  # times that the gate was asked: after a refusal, with one more group in fp32
    network: bytes = b""
    limits: Limits = field(default_factory=Limits)  # what the gate held it to
    exact: list[Answer] = field(default_factory=list)  # of the gate's pictures, in fp32
    narrow: list[Answer] = field(default_factory=list)  # and in INT8

    @property
    def scores(self) -> GateScores:
        """For the build sheet."""
        return {
            **self.verdict.scores,
            "data": self.material.gate_words,
            "judged_by": self.judged_by,
            "pictures_for_ranges": len(self.chosen.chosen),
            "ranges": self.method,
            "layers_in_int8": f"{self.narrow_layers} of {self.layers} convolutions",
            "kept_in_fp32": ", ".join(self.kept) or None,
            "gate_asked": self.asked,
            "worst_allowed": -self.limits.worst,
            "dice_allowed": -self.limits.dice,
            "recall_allowed": -self.limits.recall,
            "judged_on_target": self.judged_on_target,
        }

    def require(self) -> None:
        """Raises EngineError where the gate refuses: by how much, and what to try."""
        if self.verdict.accepted:
            return
        lost = "; ".join(self.verdict.refusals)
        judge = f", judged by {self.judged_by}" if self.judged_by else ""
        raise EngineError(
            f"the gate refuses this INT8 engine ({self.verdict.scores.get('frames', 0)} frames of "
            f"{self.material.gate_words}): {lost}{judge}. Calibrate with pictures that show what the engine will see "
            "(--calibrate, --gate), say what may be lost (--gate-dice, --gate-recall, --worst-frame), or build with "
            "--precision bf16 or fp16"
        )
