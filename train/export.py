"""A trained network -> one ONNX file that ends in the confidence q, checked against torch before it is
written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..engine.cpu.openvino_import import the_core
from ..engine.passport import passport
from ..errors import InputError, RunError, SmartcaError
from ..files import write_whole
from . import loss_names
from .checkpoint import FOREIGN, read_checkpoint
from .fit import FitSettings
from .nets import networks
from .nets.network import SmartCA

TOLERANCE = 1e-3  # of q
OPSET = 18  # read by OpenVINO 2024 and by TensorRT 10
FOLDING = "onnxscript.optimizer._constant_folding"  # its logger, which warns of constants that it leaves alone


class Confident(nn.Module):
    """What is exported: picture (N, 1, H, W) in 0..1 -> q (N, 1, H, W), and of SMART-CA `picture` (N, 2) beside it.

    `picture` is the frozen classifier's probability of a tear and the picture's strangeness (`Familiarity`).
    """

    def __init__(self, network: nn.Module, loss: str = "iplf") -> None:
        super().__init__()
        self.network = network
        self.posterior = loss_names.posterior(loss)
        self.tells_more = isinstance(network, SmartCA)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if not isinstance(self.network, SmartCA):
            return (torch.sigmoid(self.posterior(self.network(image))),)
        picture = self.network.normalise(image)
        known = self.network.known(picture)
        q = torch.sigmoid(self.posterior(self.network.outlined(picture, known)))
        return q, self.network.answer(known)


def answers(network: nn.Module, loss: str, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """What the exported network would say of `image` (1, 1, size, size): q, and perhaps `picture`; see `Confident`."""
    with torch.no_grad():
        return [part.numpy() for part in Confident(network, loss).eval()(torch.from_numpy(image))]


def load_network(checkpoint: Path) -> tuple[nn.Module, FitSettings]:
    """The network of `best.pt` in eval mode, and its settings. Raises ValueError where it is damaged."""
    stored = read_checkpoint(checkpoint)
    settings = stored.get("settings", {"loss": ""})
    if isinstance(settings, dict) and "loss" not in settings:
        raise InputError(
            f"{checkpoint} is a classifier, which outlines nothing; give the best.pt that "
            f"`smartca train segment --classifier {checkpoint.with_name('classifier.pt')}` makes"
        )
    if "state" not in stored:
        raise InputError(f"{checkpoint} holds a run to go on with, not a network; give the best.pt beside it")
    try:
        settings = FitSettings(**stored["settings"])
        network = networks.build_network(settings.network, pretrained=False)
        network.load_state_dict(stored["state"])
    except SmartcaError:
        raise
    except FOREIGN as error:
        raise InputError(f"{checkpoint} was made by another version; train again with this one") from error
    return network.eval(), settings


def to_onnx(confident: Confident, name: str, size: int) -> bytes:
    """ONNX bytes, weights inside: input `image` float32 (1, 1, size, size) in 0..1; outputs `q` of the same shape and
    `picture` (1, 2), see `Confident`.
    """
    example = torch.rand(1, 1, size, size)
    with _without_notes(FOLDING):
        program: Any = torch.onnx.export(
            confident.eval(),
            (example,),
            input_names=["image"],
            output_names=["q", "picture"] if confident.tells_more else ["q"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    _forget_origins(model)
    onnx.helper.set_model_props(model, passport(name, size, confident.tells_more))
    onnx.checker.check_model(model)
    return model.SerializeToString()


@contextmanager
def _without_notes(name: str) -> Iterator[None]:
    """The logger `name` tells errors only: nobody can act on its warnings, and the model is checked afterwards."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _forget_origins(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on every node: source lines and folders of the machine it ran on."""
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def greatest_difference(confident: Confident, model: bytes, images: NDArray[np.float32]) -> float:
    """Largest difference between torch's and OpenVINO's answers, both float32, over `images` (N, 1, size, size)."""
    core = the_core()
    compiled = core.compile_model(
        core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    confident.eval()
    worst = 0.0
    for image in images:
        with torch.no_grad():
            ours = [part.numpy() for part in confident(torch.from_numpy(image[None]))]
        theirs = compiled(image[None])
        # strangeness has no upper end: beyond 1 compared as a ratio
        apart = [np.abs(part - theirs[n]) / np.maximum(np.abs(part), 1) for n, part in enumerate(ours)]
        worst = max(worst, *(float(part.max()) for part in apart))
    return worst


def export(checkpoint: Path, out: Path, images: NDArray[np.float32] | None = None) -> float:
    """Write `out` from `checkpoint`; returns the greatest difference in q between torch and OpenVINO.

    It is taken over `images` (N, 1, size, size), smooth noise unless given.
    Raises RuntimeError, and writes nothing, where that is above 1e-3.
    """
    network, settings = load_network(checkpoint)
    confident = Confident(network, settings.loss)
    model = to_onnx(confident, settings.network, settings.size)
    given = smooth_noise(settings.size) if images is None else images
    difference = greatest_difference(confident, model, given)
    if not difference <= TOLERANCE:
        raise RunError(
            f"{out.name} was not written: its q is {difference:.2g} off torch's, more than {TOLERANCE:g}; "
            f"update openvino and onnx, then export again"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, model)
    return difference


def smooth_noise(size: int, count: int = 4) -> NDArray[np.float32]:
    """Pictures (count, 1, size, size) in 0..1 from fine to coarse noise."""
    rng = np.random.default_rng(0)
    pictures = []
    for k in range(count):
        coarse = rng.random((size >> k, size >> k), np.float32)
        pictures.append(np.kron(coarse, np.ones((1 << k, 1 << k), np.float32))[None])
    return np.stack(pictures)
