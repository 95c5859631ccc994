"""A real package with one plugin of each kind, as an installer leaves it: modules and a .dist-info beside them."""

from __future__ import annotations

import os
from pathlib import Path

MODULE = '''
import json
import numpy as np
from smartca.engine import Answer, EngineInfo, Runner
from smartca.stream.displays.contract import Display
from smartca.stream.sources import Picture, Source


class Bars(Source):
    """As many frames as it is told, each with a bright square."""

    def __init__(self, rest):
        self.name = f"bars {rest}"
        self.count = int(rest)

    def pictures(self, start=0):
        for number in range(start, self.count):
            pixels = np.full((96, 128), 60, np.uint8)
            pixels[30:60, 40 + number : 80 + number] = 220
            yield Picture(pixels)


class Breaks(Source):
    """Two frames, then a fault of the programmer's."""

    name = "breaks"

    def __init__(self, rest):
        pass

    def pictures(self, start=0):
        for number in range(start, 2):
            yield Picture(np.full((96, 128), 90, np.uint8))
        raise KeyError("third")


class Log(Display):
    """A line of JSON a frame, into the file that it is told."""

    def __init__(self, rest):
        self.file = open(rest, "w")

    def show(self, shown, tally):
        mask = shown.result.mask
        area = 0 if mask is None else int(mask.sum())
        line = {"seq": shown.frame.seq, "state": shown.result.state.value, "area": area}
        self.file.write(json.dumps(line) + "\\\\n")

    def close(self):
        if not self.file.closed:
            self.file.write("closed\\\\n")
            self.file.close()


class Fails(Display):
    """Shows nothing."""

    def __init__(self, rest):
        self.rest = rest

    def show(self, shown, tally):
        raise TypeError("no screen")


class Bright(Runner):
    """What is brighter than `rest` is tear."""

    def __init__(self, rest):
        self.limit = float(rest)
        self.info = EngineInfo("bright", "fp32", "cd" * 32, (1, 1, 64, 64))

    def start(self, image):
        self.image = image

    def finish(self):
        return Answer((self.image[0, 0] > self.limit).astype(np.float32))


def none(rest):
    return None


def broken(rest):
    raise LookupError("nothing to see")
'''
TORCH = """
from torch import nn


def net(pretrained):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


def loss():
    return lambda logits, target: (logits.sigmoid() - target).square().mean()
"""
ENTRIES = """
[smartca.sources]
bars = own_parts:Bars
breaks = own_parts:Breaks
broken = own_parts:broken
lost = own_nothing:Bars
phantom = own_parts:Bars

[smartca.displays]
log = own_parts:Log
fails = own_parts:Fails

[smartca.engines]
bright = own_parts:Bright
hollow = own_parts:Bars

[smartca.networks]
own-net = own_torch:net

[smartca.losses]
own-loss = own_torch:loss
"""


def install(folder: Path, name: str = "own-parts", entries: str = ENTRIES) -> dict[str, str]:
    """Put the package into `folder`; returns the environment in which Python finds it there."""
    (folder / "own_parts.py").write_text(MODULE.replace("\\\\n", "\\n"))
    (folder / "own_torch.py").write_text(TORCH)
    papers = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    papers.mkdir(parents=True)
    (papers / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (papers / "entry_points.txt").write_text(entries)
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": str(folder) + (os.pathsep + before if before else "")}
