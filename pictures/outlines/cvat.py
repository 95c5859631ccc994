"""'CVAT for images 1.1', an XML file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from ...errors import InputError
from .annotated import Annotations, Entry, labels_of
from .shapes import RUNS, Ellipse, MarkedOutline, no_outline, run_lengths


def read_cvat(path: Path) -> Annotations:
    """An export; what lies higher (`z_order`) hides what is under it. ValueError naming what is wrong."""
    try:
        tree = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise InputError(f"{path} is not XML that can be read ({error}); export it again") from error
    if tree.tag != "annotations" or tree.find("track") is not None or tree.find("image") is None:
        raise InputError(f"{path} is no export of images; choose 'CVAT for images 1.1' or 'COCO 1.0' in CVAT")
    try:
        entries = [
            Entry(
                image.attrib["name"],
                int(image.attrib["height"]),
                int(image.attrib["width"]),
                tuple(_outline(shape) for shape in image if "label" in shape.attrib and shape.tag != "tag"),
            )
            for image in tree.iter("image")
        ]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has an image or a shape without {error}; export it again") from error
    declared = tuple(name.text or "" for name in tree.iterfind("meta//label/name"))
    return Annotations(path, path.parent, entries, labels_of(entries), declared=declared)


def _outline(shape: ElementTree.Element) -> MarkedOutline:
    label, told = shape.attrib["label"], shape.attrib
    z = int(told.get("z_order", "0"))
    if shape.tag == "polygon":
        corners = tuple(float(n) for point in told["points"].split(";") for n in point.split(","))
        return MarkedOutline(label, polygon=corners, z=z)
    if shape.tag == "ellipse":
        x, y, across, down = (float(told[name]) for name in ("cx", "cy", "rx", "ry"))
        return MarkedOutline(label, ellipse=Ellipse(x, y, across, down, float(told.get("rotation", "0"))), z=z)
    if shape.tag == "mask":
        width, height = int(told["width"]), int(told["height"])
        patch = run_lengths([int(run) for run in told["rle"].split(",")], height, width, down=False)
        if patch is None:
            return MarkedOutline(label, flaw=RUNS, z=z)
        return MarkedOutline(label, patch=patch, corner=(int(told["top"]), int(told["left"])), z=z)
    return MarkedOutline(label, flaw=no_outline(shape.tag), z=z)
