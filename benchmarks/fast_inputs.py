"""What both sides of `vs_fast.py` are given: the same frames as files, and the same weights; and how masks compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from smartca.engine import open_runner, open_segmenter
from smartca.engine import operating_point as points
from smartca.engine.letterbox import letterbox, to_input
from smartca.files import sha256
from smartca.pictures.pixels import to_grey, whole
from smartca.scores.counts import Counts
from smartca.stream.sources import open_source

if TYPE_CHECKING:
    from onnx import GraphProto

OPSET = 17  # the newest that FAST's OpenVINO reads
NETWORK_SIDE = 256
SAME = 1e-3  # of q: two fp32 engines differ by 1e-5, bf16 by some hundredths
Masks = list[NDArray[np.bool_]]


@dataclass(frozen=True)
class Frames:
    """Frames in files: `pngs` square grey PNGs of `size` pixels, `raws` the same as 256 x 256 raw MetaImages."""

    pngs: Path
    raws: Path
    size: int
    count: int
    truths: Masks

    @property
    def pattern(self) -> Path:
        """The PNGs as FAST names them."""
        return self.pngs / "frame_#.png"

    @property
    def ready(self) -> Path:
        """The raw ones as FAST names them."""
        return self.raws / "frame_#.mhd"

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """The PNGs' pixels."""
        for number in range(self.count):
            yield np.asarray(cv2.imread(str(self.pngs / f"frame_{number}.png"), cv2.IMREAD_UNCHANGED), np.uint8)

    def squares(self) -> Iterator[NDArray[np.uint8]]:
        """The raw ones' pixels."""
        for picture in self.pictures():
            yield letterbox(picture, whole(picture.shape), NETWORK_SIDE)


def write_frames(source: str, count: int, folder: Path) -> Frames:
    """`count` pictures of `source`, each the sector alone in a black square: so nobody has to cut, pad or crop.

    FAST would fill the width and pad or cut off below, smartca stands the picture in the middle.
    """
    pngs, raws = folder / "png", folder / "raw"
    pngs.mkdir()
    raws.mkdir()
    truths: Masks = []
    number = side = 0
    with open_source(source) as opened:
        for number, picture in enumerate(islice(opened.pictures(), count), 1):
            sector = opened.sector or whole(picture.pixels.shape)
            side = max(sector.width, sector.height)
            square = _squared(to_grey(np.asarray(sector.cut(picture.pixels), np.uint8)), side)
            cv2.imwrite(str(pngs / f"frame_{number - 1}.png"), square)
            _write_raw(raws / f"frame_{number - 1}", letterbox(square, whole(square.shape), NETWORK_SIDE))
            if picture.truth is not None:
                truths.append(_squared(np.asarray(sector.cut(picture.truth), np.uint8), side) > 0)
    if number < count:
        raise click.ClickException(f"{source} has {number} pictures only: give --frames {number} or fewer")
    return Frames(pngs, raws, side, count, truths)


def _squared(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    square = np.zeros((side, side), np.uint8)
    top, left = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return square


def _write_raw(path: Path, square: NDArray[np.uint8]) -> None:
    """A MetaImage, the format that FAST reads without decoding."""
    path.with_suffix(".raw").write_bytes(square.tobytes())
    fields = {
        "ObjectType": "Image",
        "NDims": 2,
        "DimSize": f"{square.shape[1]} {square.shape[0]}",
        "ElementSpacing": "1 1",
        "ElementType": "MET_UCHAR",
        "ElementNumberOfChannels": 1,
        "ElementDataFile": f"{path.name}.raw",
    }
    path.with_suffix(".mhd").write_text("".join(f"{key} = {value}\n" for key, value in fields.items()))


def for_fast(model: Path, out: Path, exact: bool = True) -> Path:
    """`model` with the output q alone, in an opset that FAST reads; its operating point beside it.

    The classifier's limits stay behind with its output. exact: raise ClickException where this answers differently in
    fp32 (in INT8 it does: OpenVINO fuses the smaller graph in another way, and steps are wide).
    """
    try:
        import onnx
        from onnx import utils, version_converter
    except ImportError as error:
        raise click.ClickException("the race needs onnx, to give FAST an older opset: pip install onnx") from error
    network = utils.Extractor(onnx.load(str(model))).extract_model(["image"], ["q"])
    _sort(network.graph)
    if max(entry.version for entry in network.opset_import if not entry.domain) > OPSET:
        network = version_converter.convert_version(network, OPSET)
        for node in network.graph.node:  # the converter leaves attributes behind that came later
            known = onnx.defs.get_schema(node.op_type, OPSET, node.domain).attributes
            for attribute in [one for one in node.attribute if one.name not in known]:
                node.attribute.remove(attribute)
    onnx.checker.check_model(network)
    onnx.save(network, str(out))
    point = points.load_point(model, sha256(model))
    points.save_point(
        msgspec.structs.replace(point, model_sha256=sha256(out), tear_threshold=0.0, strange_limit=None), out
    )
    if exact:
        _refuse_other(model, out)
    return out


def _sort(graph: GraphProto) -> None:
    """Every node behind those it takes from, as ONNX demands and quantisers forget."""
    waiting = list(graph.node)
    known = {"", *(value.name for value in graph.input), *(value.name for value in graph.initializer)}
    del graph.node[:]
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise click.ClickException("the network runs in a circle; export it again with `smartca export`")
        waiting = [node for node in waiting if not known.issuperset(node.input)]
        graph.node.extend(ready)
        known.update(name for node in ready for name in node.output)


def _refuse_other(model: Path, copy: Path) -> None:
    image = np.random.default_rng(0).random((1, 1, NETWORK_SIDE, NETWORK_SIDE), np.float32)
    with open_runner(model, "fp32", 1) as one, open_runner(copy, "fp32", 1) as other:
        if np.abs(one.infer(image).q - other.infer(image).q).max() >= SAME:
            raise click.ClickException(f"{model.name} answers differently in opset {OPSET}: nothing to compare")


def our_masks(frames: Frames, model: Path, precision: str) -> tuple[Masks, str, str]:
    """What `smartca run` would outline, in what precision and by which weights."""
    with open_segmenter(model, precision=precision) as segmenter:
        info = segmenter.runner.info
        masks = [segmenter(picture, whole(picture.shape)).mask for picture in frames.pictures()]
        return masks, info.precision, info.model_sha256


def their_masks(q: NDArray[np.float32], threshold: float, side: int) -> Masks:
    """FAST's outputs (frames, size, size), cut and brought to the frames' size as its renderer does: nearest pixel."""
    cut = (q > threshold).astype(np.uint8)
    return [cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST) > 0 for mask in cut]


def dice(masks: Masks, others: Masks) -> float:
    """Pooled over all frames."""
    counts = Counts()
    for mask, other in zip(masks, others, strict=True):
        counts.add(mask, other)
    return round(counts.dice_pooled or 0.0, 4)


def precision_of(q: NDArray[np.float32], frames: Frames, model: Path) -> tuple[str, float]:
    """In what FAST computed `q` of the raw pictures, told from its numbers; largest difference to our fp32."""
    with open_runner(model, "fp32") as runner:
        wanted = np.array([runner.infer(to_input(square)).q for square in frames.squares()])
    largest = float(np.abs(q - wanted).max())
    return ("fp32" if largest < SAME else "less than fp32"), largest


def draw_both(path: Path, frames: Frames, number: int, ours: NDArray[np.bool_], fasts: NDArray[np.bool_]) -> None:
    """A frame with smartca's outline in amber over FAST's in cyan."""
    image = cv2.cvtColor(list(frames.pictures())[number], cv2.COLOR_GRAY2BGR)
    for mask, colour in ((fasts, (255, 255, 0)), (ours, (0, 191, 255))):
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(image, lines, True, colour, 1)
    cv2.imwrite(str(path), image)


def versions() -> dict[str, str]:
    """Of what smartca ran on."""
    return {name: metadata.version(name) for name in ("smartca", "openvino", "opencv-python-headless", "numpy")}
