"""What a study compares: a TOML file read strictly, and the cells (trainings) it asks for."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from ... import plugins
from ...errors import UNDECODABLE, InputError, MissingPackage
from ...phantom.corruption import LEVELS
from .. import loss_names
from ..checkpoint import digest
from ..nets import networks
from ..settings import LARGEST_SEED

STUDY_RECIPE = 1  # of training and scoring: raise it when either changes what a cell's file says
WITHOUT_CLASSIFIER = "-noclassifier"  # SMART-CA whose frozen encoder is ImageNet's
OURS, IMAGENET = "ours", "imagenet"
STARTS = (OURS, IMAGENET, "scratch")  # the plan's checkpoint, ImageNet's weights, random ones
Count = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0, le=LARGEST_SEED)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._+-]+$")]
Names = Annotated[tuple[Name, ...], Meta(min_length=1)]


class Phantoms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many simulated shoulders (seeds) learn, choose the threshold and test, and how many frames of each."""

    train: Count
    validate: Count
    test: Count
    frames: Count = 2


class StudyData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labelled pictures in one of `datasets.FORMS`, of which `mask_value` or `label` picks one class; or simulated
    shoulders.
    """

    name: Name
    folder: str | None = None
    mask_value: Annotated[int, Meta(ge=1, le=255)] | None = None
    label: str | tuple[str, ...] | None = None  # several are one tear together
    phantom: Phantoms | None = None
    most: Count | None = None  # pictures to learn from that hold something to find; cells of more are left out

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.phantom is None):
            raise InputError(f"the data '{self.name}' needs either a folder or a phantom, and not both")
        if self.phantom and (self.mask_value, self.label) != (None, None):
            raise InputError(f"the data '{self.name}' is a phantom, with one class; leave out mask_value and label")


class Compare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every one of these networks with every one of these losses; `speckle` doubles the training pictures with
    severe and moderate speckle. `start` says what is begun with, without a classifier's step; `pictures` how many
    labelled ones are learnt from, 0 being the checkpoint as it is.
    """

    networks: Names
    losses: Names
    speckle: bool = False
    start: tuple[str, ...] = ()
    pictures: tuple[Annotated[int, Meta(ge=0)], ...] = ()

    @property
    def begun(self) -> list[tuple[str, int | None]]:
        """Every start with every number of pictures; of none at all there is only the checkpoint."""
        each = itertools.product(self.start or ("",), self.pictures or (None,))
        return [(start, number) for start, number in each if number != 0 or start == OURS]


class Variant(NamedTuple):
    """One row of the table: what is compared, whatever the data and the seed."""

    network: str
    loss: str
    speckle: bool = False
    start: str = ""
    pictures: int | None = None

    @property
    def label(self) -> str:
        begun = f"+{self.start}" if self.start else ""
        number = "" if self.pictures is None else f"+{self.pictures}"
        return f"{self.network}/{self.loss}" + ("+speckle" if self.speckle else "") + begun + number

    @property
    def built(self) -> str:
        """The name the network is built by."""
        name = self.network.removesuffix(WITHOUT_CLASSIFIER)
        return name + networks.SCRATCH if self.start == "scratch" and not name.endswith(networks.SCRATCH) else name

    @property
    def classifies(self) -> bool:
        """Whether the paper's first step, the classifier, comes before the segmentation."""
        named = self.network.startswith("smartca-") and not self.network.endswith(WITHOUT_CLASSIFIER)
        return named and not self.start


class StudyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A study. `steps` counts all steps of a cell, the classifier's share of them included."""

    name: Name
    size: Annotated[int, Meta(ge=32, multiple_of=32)]
    batch: Annotated[int, Meta(ge=2)]
    steps: Annotated[int, Meta(ge=2)]
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)]
    data: Annotated[tuple[StudyData, ...], Meta(min_length=1)]
    compare: Annotated[tuple[Compare, ...], Meta(min_length=1)]
    data_root: str = "."
    levels: Annotated[tuple[str, ...], Meta(min_length=1)] = ("none", "moderate", "severe")
    reference: str = "smartca-lite/iplf"
    learning_rate: Annotated[float, Meta(gt=0, lt=1)] = 2e-3
    classifier_share: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    half: bool = False  # bfloat16 inside the network while training
    checkpoint: str | None = None  # that `start = "ours"` begins with, seen from the TOML file

    def __post_init__(self) -> None:
        for what, names in (("seeds", self.seeds), ("levels", self.levels), ("data", [d.name for d in self.data])):
            if len(set(names)) != len(names):
                raise InputError(f"the {what} {', '.join(map(str, names))} hold one of them twice; name each once")
        _known("level", self.levels, tuple(LEVELS))
        if self.levels[0] != "none":
            raise InputError(f"the levels {', '.join(self.levels)} must start with none")
        _known("start", (start for entry in self.compare for start in entry.start), STARTS)
        if any(entry.pictures and not entry.start for entry in self.compare):
            raise InputError("pictures are counted without a start; give start as well")
        if self.checkpoint is None and any(OURS in entry.start for entry in self.compare):
            raise InputError(f"the start '{OURS}' needs a checkpoint; name the file")
        _known("loss", (variant.loss for variant in self.variants), loss_names.LOSS_NAMES, loss_names.PLUGINS)
        # an encoder's name is checked where the network is built
        built = [variant.built.removesuffix(networks.SCRATCH) for variant in self.variants]
        named = (name for name in built if not name.startswith(("smartca-", "unet-")))
        _known("network", named, networks.NETWORK_NAMES, networks.PLUGINS)
        labels = [variant.label for variant in self.variants]
        if self.reference not in labels:
            raise InputError(
                f"the reference '{self.reference}' is not compared here{_meant(self.reference, labels)}; "
                f"give one of {', '.join(labels)}"
            )

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The rows of the table, each once, in the file's order."""
        rows = [
            Variant(network, loss, entry.speckle, *begun)
            for entry in self.compare
            for network, loss in itertools.product(entry.networks, entry.losses)
            for begun in entry.begun
        ]
        return tuple(dict.fromkeys(rows))

    @property
    def classifier_steps(self) -> int:
        """Steps of a cell that go to its classifier, where it has one."""
        return min(self.steps - 1, max(1, round(self.steps * self.classifier_share)))


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One training and its scores: everything that decides them, but for the data's own digest."""

    data: str
    network: str
    loss: str
    speckle: bool
    seed: int
    size: int
    batch: int
    learning_rate: float
    half: bool
    classifier_steps: int  # 0: no classifier
    segment_steps: int
    levels: tuple[str, ...]
    recipe: int = STUDY_RECIPE
    start: str = ""
    pictures: int | None = None
    checkpoint: str = ""  # digest of what `ours` begins with

    @property
    def variant(self) -> Variant:
        return Variant(self.network, self.loss, self.speckle, self.start, self.pictures)

    @property
    def label(self) -> str:
        return f"{self.data}/{self.variant.label}/{self.seed}"

    def key(self, pictures: str) -> str:
        """Name of the cell's file, from everything that decides what is in it."""
        told = msgspec.to_builtins(self)
        if not self.start:  # cells without a start are named as they were before there was one
            told = {name: value for name, value in told.items() if name not in ("start", "pictures", "checkpoint")}
        return hashlib.sha256(msgspec.json.encode([pictures, told])).hexdigest()[:20]


def cells(plan: StudyPlan, only: str = "*") -> list[Cell]:
    """The plan's cells whose label DATA/NETWORK/LOSS/SEED fits the pattern; seed by seed, so that an early stop
    leaves every row with as many seeds. Raises ValueError where none fits.
    """
    wanted = []
    begun = digest(Path(plan.checkpoint)) if plan.checkpoint else ""
    for seed, data, variant in itertools.product(plan.seeds, plan.data, plan.variants):
        if data.most is not None and (variant.pictures or 0) > data.most:
            continue
        first = plan.classifier_steps if variant.classifies else 0
        cell = Cell(
            data.name, variant.network, variant.loss, variant.speckle, seed, plan.size, plan.batch,
            plan.learning_rate, plan.half, first, 0 if variant.pictures == 0 else plan.steps - first, plan.levels,
            start=variant.start, pictures=variant.pictures, checkpoint=begun if variant.start == OURS else "",
        )  # fmt: skip
        if fnmatchcase(cell.label, only):
            wanted.append(cell)
    if not wanted:
        raise InputError(f"--only '{only}' fits no cell; they are called like {plan.data[0].name}/{plan.reference}/1")
    return wanted


def read_plan(path: Path) -> StudyPlan:
    """The plan in a TOML file. Raises ValueError, in one sentence, for anything it should not hold."""
    try:
        plan = msgspec.toml.decode(path.read_bytes(), type=StudyPlan)
        if plan.checkpoint is None:
            return plan
        return msgspec.structs.replace(plan, checkpoint=str(path.parent / plan.checkpoint))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a study's TOML file") from error
    except ImportError as error:  # Python 3.10 has no reader of its own
        raise MissingPackage("reading a study needs tomli on this Python; pip install 'smartca[train]'") from error
    except msgspec.ValidationError as error:
        raise InputError(f"{path} is no study: {_decapitalised(error)}; docs/study.md lists the fields") from error
    except UNDECODABLE as error:
        raise InputError(f"{path} is not TOML: {_decapitalised(error)}; correct that line") from error


def _known(what: str, names: Iterable[str], known: Sequence[str], group: plugins.Group | None = None) -> None:
    """Raises ValueError for the first of `names` that is not known, nor an installed plugin's of `group`."""
    for name in names:
        if name in known or (group and name in plugins.names(group)):
            continue
        others = f"; {plugins.told(group)}" if group else ""
        raise InputError(f"'{name}' is no {what}{_meant(name, known)}; known are {', '.join(known)}{others}")


def _meant(name: str, known: Sequence[str]) -> str:
    """A question after the one of `known` that is most like `name`, if one is."""
    near = get_close_matches(name, known, 1)
    return f" (is {near[0]} meant?)" if near else ""


def _decapitalised(error: Exception) -> str:
    words = str(error)
    return words[:1].lower() + words[1:]
