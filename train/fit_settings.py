"""Settings of the second step of training."""

from __future__ import annotations

from dataclasses import dataclass

from .settings import Settings


@dataclass(frozen=True, slots=True)
class FitSettings(Settings):
    """Everything that, with the data and the classifier, decides the weights."""

    loss: str = "iplf"  # a name of loss_names.LOSS_NAMES
    from_classifier: bool = False  # the trainable encoder, too, starts from the classifier's
