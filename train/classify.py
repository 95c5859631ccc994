"""The paper's first step: 'tear / no tear' of a whole picture. Its encoder then stands frozen inside SMART-CA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, SmartcaError
from .batches import Pair, tensors
from .checkpoint import FOREIGN, read_checkpoint
from .data.crops import crop_with_or_without
from .logs import Row
from .loop import Loop
from .nets.depthwise import quick_depthwise
from .nets.network import Classifier
from .settings import AS_USUAL, Lessons, Running, Settings

SCARCE = 0.2  # of the training pictures: with fewer without a lesion, crops are looked at too
LOOKED_AT = 400  # training pictures, evenly spaced, to find that out
PREFIX, SUFFIX = "smartca-", "-scratch"


@dataclass(frozen=True, slots=True)
class ClassifySettings(Settings):
    """Everything that, with the data, decides the classifier's weights."""

    learning_rate: float = 2e-3
    epochs: int = 6


class Classify(Loop):
    """A classifier fitted in folder `out`: classifier.pt, and classifier-last.pt to go on from.

    Where fewer than a fifth of the training pictures lack a lesion, half of the views are random crops, a third to
    two thirds of each side: two in three of these hold no lesion pixel, the others hold most of a lesion. Else there
    would be no 'no' to learn. The validation views are then each whole picture and one crop of either kind, always
    the same ones.
    """

    name = "classify"
    files = ("classifier-last.pt", "classifier.pt", "classifier-log.csv")
    stage = 1
    best_by = ("balanced_accuracy", "auc")

    def __init__(self, settings: ClassifySettings, lessons: Lessons, out: Path, running: Running = AS_USUAL) -> None:
        train = lessons.train
        looked = np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(int))
        self.crops = float(np.mean([not train[int(n)][1].any() for n in looked])) < SCARCE
        super().__init__(settings, lessons, out, running)

    def build(self) -> nn.Module:
        """The encoder of the network that this classifier is for, pooled, and two classes."""
        network = Classifier(*_backbone(self.settings, imagenet=not self.resumed))
        quick_depthwise(network)
        return network

    def build_loss(self) -> nn.Module:
        """Cross-entropy of the two classes."""
        return nn.CrossEntropyLoss()

    def loss_of(self, output: Tensor, masks: Tensor) -> Tensor:
        """Its mean over the batch is the mean of the processes' means: they hold equal parts."""
        return self.loss(output.float(), masks.flatten(1).any(1).long())

    def view(self, sample: int, rng: np.random.Generator) -> Pair:
        """A training view: the whole picture or, where the answer 'no' is scarce, a crop."""
        if not self.crops or rng.random() < 0.5:
            return super().view(sample, rng)
        part = crop_with_or_without(*self.train[sample], holding=rng.random() < 1 / 3, rng=rng)
        return self.varied(part, rng)

    @torch.no_grad()
    def score(self) -> Row:
        """Balanced accuracy, and area under the ROC curve (nan where the views have one answer only)."""
        self.mean.eval()
        answers, truths = [], []
        for first in range(0, len(self.held), self.settings.batch):
            few = range(first, min(first + self.settings.batch, len(self.held)))
            pairs = [pair for n in few for pair in self._views(n)]
            images, masks = tensors(pairs, self.settings.size)
            with torch.autocast(self.crew.device.type, torch.bfloat16, enabled=self.settings.half):
                classes = self.mean(images.to(self.crew.device, memory_format=torch.channels_last))
            answers.append(classes.float().softmax(1)[:, 1].cpu())
            truths.append(masks.flatten(1).any(1).long())
        return scores(torch.cat(answers), torch.cat(truths))

    def _views(self, n: int) -> list[Pair]:
        pixels, mask = self.held[n]
        views = [(pixels, mask)]
        if self.crops:
            views += [
                crop_with_or_without(pixels, mask, kind, np.random.default_rng((n, kind))) for kind in (False, True)
            ]
        return views


def scores(answers: Tensor, truths: Tensor) -> Row:
    """Balanced accuracy at one half and area under the ROC curve of probabilities (N,) and truths (N,) in {0, 1}."""
    from torchmetrics.functional.classification import binary_auroc, multiclass_accuracy

    balanced = multiclass_accuracy((answers > 0.5).long(), truths, num_classes=2, average="macro")
    both = 0 < int(truths.sum()) < len(truths)
    auc = float(binary_auroc(answers, truths)) if both else math.nan
    return {"balanced_accuracy": float(balanced), "auc": auc}


def _backbone(settings: Settings, imagenet: bool) -> tuple[str, bool]:
    """(encoder's name, with ImageNet weights) of a SMART-CA network's name. Raises ValueError for another network."""
    if not settings.network.startswith(PREFIX):
        raise InputError(f"{settings.network} has no place for a classifier; give a network called {PREFIX}...")
    name = settings.network[len(PREFIX) :]
    scratch = name.endswith(SUFFIX)
    return name.removesuffix(SUFFIX), settings.pretrained and not scratch and imagenet


def read_classifier(path: Path) -> Classifier:
    """The classifier of a classifier.pt. Raises ValueError where it is damaged or is something else."""
    cure = "run `smartca train classify` to make one"
    stored = read_checkpoint(path, cure)
    try:
        settings = ClassifySettings(**stored["settings"])
        network = Classifier(*_backbone(settings, imagenet=False))
        network.load_state_dict(stored["state"])
    except SmartcaError:
        raise
    except FOREIGN as error:
        raise InputError(f"{path} holds no classifier; {cure}") from error
    return network.eval()
