"""The second step of training: outlines. AdamW, one cosine cycle, an average of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..pictures.datasets import Samples
from ..pictures.pixels import Grey
from ..scores.histograms import Histograms, Score
from . import loss_names
from .batches import tensors
from .checkpoint import digest, read_checkpoint
from .classify import read_classifier
from .data.samples import plain_views
from .fit_settings import FitSettings
from .logs import Row
from .loop import STARTED, Loop, TrainingStopped, interrupts
from .nets import networks
from .nets.familiar import pooled
from .nets.network import SmartCA
from .parallel import shared_loss
from .settings import AS_USUAL, Lessons, OnStep, Running, learning_rate
from .starting import load_start

__all__ = [
    "Fit",
    "FitSettings",
    "OnStep",
    "Row",
    "TrainingStopped",
    "interrupts",
    "learning_rate",
    "read_checkpoint",
    "tensors",
    "validate",
]


@torch.no_grad()
def validate(network: nn.Module, samples: Samples, settings: FitSettings) -> Score:
    """Best pooled Dice over thresholds on whole samples, unaugmented."""
    network.eval()
    device = next(network.parameters()).device
    shown, counted = loss_names.posterior(settings.loss), Histograms()
    for first in range(0, len(samples), settings.batch):
        pairs = [samples[n] for n in range(first, min(first + settings.batch, len(samples)))]
        images, masks = tensors(pairs, settings.size)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.half):
            logits = network(images.to(device, memory_format=torch.channels_last))
        counted.add(shown(logits.float()).cpu().numpy(), masks.numpy() > 0)
    return counted.best()


class Fit(Loop):
    """A network fitted to outline tears, in folder `out`: last.pt to go on from, best.pt, log.csv.

    `classifier` is the classifier.pt of `Classify`: its encoder and its answer become SMART-CA's frozen part.
    `start` is a checkpoint whose weights are begun with, its frozen part and what is usual to it among them.
    `data` is a digest of the pictures. Raises ValueError for an unknown network or loss, for a classifier or a start
    that does not fit, for both at once, and where `out` holds a checkpoint of other settings, pictures or start and
    `resume` is asked for.
    """

    name = "segment"
    files = ("last.pt", "best.pt", "log.csv")
    stage = 0
    best_by = ("dice",)
    usual_anew = False  # whether what is usual is found anew, and not taken from the start
    settings: FitSettings

    def __init__(
        self,
        settings: FitSettings,
        lessons: Lessons,
        out: Path,
        running: Running = AS_USUAL,
        classifier: Path | None = None,
        start: Path | None = None,
    ) -> None:
        if classifier and start:
            raise InputError(f"{start} brings its own frozen classifier; leave --classifier or --start-from out")
        self.classifier, self.start = classifier, start
        origin = digest(classifier) if classifier else f"{STARTED}{digest(start)}" if start else ""
        super().__init__(settings, lessons, out, running, origin)

    def build(self) -> nn.Module:
        """The network by its name, with the start's weights, or the classifier frozen inside it, where one is given."""
        settings = self.settings
        imagenet = settings.pretrained and not self.resumed and self.start is None
        network = networks.build_network(settings.network, imagenet)
        if self.start and not self.resumed:
            load_start(self.start, network, settings.network)
            if self.usual_anew and isinstance(network, SmartCA):
                network.familiar.forget()
        if self.classifier and not self.resumed:
            if not isinstance(network, SmartCA):
                raise InputError(f"{settings.network} has no place for a classifier; leave --classifier out")
            try:
                network.adopt(read_classifier(self.classifier), both=settings.from_classifier)
            except RuntimeError as error:  # torch's, for weights of other names or shapes
                raise InputError(
                    f"{self.classifier} holds another encoder than {settings.network}; "
                    f"run `smartca train classify --network {settings.network}` for one that fits"
                ) from error
        return network

    def build_loss(self) -> nn.Module:
        """The loss by its name."""
        return loss_names.loss(self.settings.loss)

    def loss_of(self, output: Tensor, masks: Tensor) -> Tensor:
        """The loss over the whole batch, whoever holds its parts."""
        return shared_loss(self.loss, output, masks, self.crew)

    def score(self) -> Row:
        """Pooled over pixels, at the threshold with the best Dice."""
        if isinstance(self.mean, SmartCA) and not self.mean.familiar.settled:
            self.familiarise(self.mean)
            # in both: else the average would draw it back to nothing, step by step
            self.network.load_state_dict(self.mean.familiar.state_dict(prefix="familiar."), strict=False)
        return validate(self.mean, self.held, self.settings)._asdict()

    def familiarise(self, network: SmartCA) -> None:
        """Let the network know what is usual: its frozen encoder's features of training pictures, hardly changed."""
        network.familiar.settle(self.features(network, plain_views(self.train, self.negatives, self.settings.seed)))

    @torch.no_grad()
    def features(self, network: SmartCA, views: Sequence[Grey]) -> Tensor:
        """What the frozen encoder makes of N pictures: (N, width), see `nets.familiar.pooled`."""
        network.eval()
        found = []
        for first in range(0, len(views), self.settings.batch):
            few = [(view, np.zeros(view.shape, np.bool_)) for view in views[first : first + self.settings.batch]]
            images, _ = tensors(few, self.settings.size)
            picture = network.normalise(images.to(self.crew.device, memory_format=torch.channels_last))
            found.append(pooled(network.known(picture)))
        return torch.cat(found)
