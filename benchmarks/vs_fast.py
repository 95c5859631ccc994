"""The whole way from files to overlays, raced against FAST (Smistad et al. 2015) on the same frames and weights.

    python benchmarks/vs_fast.py --fast-python /tmp/fast-env/bin/python [--frames 120] [--rounds 5] [--json R.json]

Both sides read the same 8-bit grey PNG files, square, with one simulated shoulder in its own pixels; both scale them to
the network's 256 x 256, divide by 255, infer, cut at the same threshold and draw. Every frame is processed. In each
round all contestants run, one after the other, in turning order; medians over the rounds are compared.

smartca   `smartca run FOLDER --headless`: three processes (attach, serve, view) over ipc, outlines drawn on every
          frame, spots removed, every frame accounted for. The engine takes all cores but one, as `run` does by itself.
          Once as it ships (the precision that `auto` gives), and in fp32 and bf16 on FAST's own ONNX file.
FAST      `fast_app.py`, FAST's own streamer, network and renderers, offscreen. Its OpenVINO (2022.3 in pyfast 4.18)
          takes all cores, and by its own default bf16 where the processor has it. Without a GPU its resizing and
          normalising run in pocl (OpenCL on the CPU) and its renderers in Mesa's software OpenGL. Hence also:
          'mask only' (no drawing), and 'made ready' (no drawing, and pictures that are already 256 x 256 and raw, so
          that neither decoding nor resizing is left; smartca still does all of its own work).
          'fp32' is FAST kept from bf16 by oneDNN's ONEDNN_MAX_CPU_ISA, which leaves it AVX-512. Where smartca as it
          ships runs an INT8 file, FAST also gets that one.

FAST's OpenVINO cannot read opset 18, so it gets the weights as opset 17 with the output q alone, and it is checked that
this answers as the shipped model does. The shipped smartca also computes the classifier and how strange a picture is.

frames/s count from the first overlay to the last; of FAST the first ten are left out, since OpenCL compiles its kernels
during those. Start-up is from the process's start to the first overlay, and 'all' the whole command, per frame.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import fast_inputs as inputs
import numpy as np
from fast_inputs import Frames
from numpy.typing import NDArray
from smartca.engine import SHIPPED_MODEL
from smartca.engine import operating_point as points
from smartca.engine.machine import processor
from smartca.files import sha256

APP = Path(__file__).with_name("fast_app.py")
INSTALL = (
    "apt-get install -y xvfb libusb-1.0-0 pocl-opencl-icd libgl1 libgl1-mesa-dri libopengl0 libglib2.0-0 libgomp1 "
    "libsm6 libice6 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 "
    "libxcb-shape0 libxcb-xfixes0 libxcb-xinerama0 libxcb-xkb1"
    " && python3 -m venv /tmp/fast-env && /tmp/fast-env/bin/pip install pyfast numpy"
)
WARMING = 10  # FAST's results that do not count
NO_BF16 = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}
TARGET = 2.0
PATIENCE_S = 600


@dataclass
class Contestant:
    """One way from files to overlays, and what it took in each round."""

    name: str
    run: Callable[[], tuple[float, float, float]] = field(repr=False)
    fps: list[float] = field(default_factory=list)
    startup_s: list[float] = field(default_factory=list)
    all_s: list[float] = field(default_factory=list)

    def race(self) -> None:
        """One round."""
        for kept, figure in zip((self.fps, self.startup_s, self.all_s), self.run(), strict=True):
            kept.append(round(figure, 3))

    def figures(self) -> dict[str, Any]:
        """Medians, and the rounds' frames/s."""
        middle = {key: statistics.median(getattr(self, key)) for key in ("fps", "startup_s", "all_s")}
        return {**middle, "rounds_fps": self.fps}


class Fast:
    """FAST in its own environment, on a screen of its own."""

    def __init__(self, python: Path, screen: str, folder: Path, size: int, threshold: float) -> None:
        self.python, self.folder, self.size, self.threshold = python, folder, size, threshold
        self.environment = {**os.environ, "DISPLAY": screen, "XDG_RUNTIME_DIR": str(folder)}
        self.version = ""

    def check(self) -> None:
        """Raises ClickException, with the commands that install it, where FAST does not start."""
        try:
            command = [str(self.python), "-c", "import fast, numpy"]
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S)
        except OSError as error:
            raise missing(f"{self.python}: {error.strerror}") from error
        if done.returncode:
            raise missing((done.stderr.strip().splitlines() or ["it does not start"])[-1])

    def run(self, model: Path, frames: Path, more: list[str], **environment: str) -> tuple[float, float, float]:
        """One pass over `frames` -> frames/s, start-up and all in seconds."""
        out = self.folder / "fast.json"
        command = [str(self.python), str(APP), "--model", str(model), "--frames", str(frames), "--out", str(out)]
        command += ["--size", str(self.size), "--threshold", str(self.threshold), *more]
        started = time.monotonic()
        surroundings = {**self.environment, **environment}
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=PATIENCE_S)
        spent = time.monotonic() - started
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
        found = json.loads(out.read_text())
        stamps = found["stamps_ns"]
        self.version = found["fast"]
        span = stamps[-1] - stamps[WARMING - 1]
        return (len(stamps) - WARMING) * 1e9 / span, stamps[0] / 1e9 - started, spent

    def heatmaps(self, model: Path, frames: Path, **environment: str) -> NDArray[np.float32]:
        """The network's output for every frame, (frames, size, size)."""
        kept = self.folder / "q.npy"
        self.run(model, frames, ["--heatmaps", str(kept)], **environment)
        return np.load(kept)


def missing(why: str) -> click.ClickException:
    """One sentence and the cure."""
    return click.ClickException(f"FAST is not there ({why}); install it with: {INSTALL}")


@contextmanager
def screen(folder: Path) -> Iterator[str]:
    """A virtual screen for FAST's OpenGL; its name."""
    if shutil.which("Xvfb") is None:
        raise missing("there is no Xvfb")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder) as server:
        try:
            assert server.stdout is not None
            number = server.stdout.readline().strip()
            if not number:
                raise missing("Xvfb does not start")
            yield f":{number}"
        finally:
            server.terminate()


def smartca(frames: Frames, report: Path, more: list[str]) -> tuple[tuple[float, float, float], int]:
    """One `smartca run` over the frames -> (frames/s, start-up and all in seconds), processes restarted."""
    crop = f"0,0,{frames.size},{frames.size}"
    command = [sys.executable, "-m", "smartca", "run", str(frames.pngs), "--headless", "--crop", crop]
    command += ["--report", str(report), *more]
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE_S)
    spent = time.monotonic() - started
    found = json.loads(report.read_text())
    shown, restarts = found["frames"]["shown"], sum(found["restarts"].values())
    if shown != frames.count and not restarts:
        raise RuntimeError(f"smartca did not show every frame: {found['frames']}")
    if restarts:  # a machine so busy that a process was silent for a second; what that cost stays in the figures
        print(f"smartca's supervisor restarted {restarts} process(es), {shown} of {frames.count} frames shown")
    return (found["fps"], found["first_overlay_s"], spent), restarts


class Race:
    """All contestants over the same frames."""

    def __init__(self, fast: Fast, frames: Frames, folder: Path) -> None:
        self.fast, self.frames, self.folder = fast, frames, folder
        self.model = inputs.for_fast(SHIPPED_MODEL, folder / "same.onnx")
        self.point = points.load_point(self.model, sha256(self.model))
        self.notes: dict[str, Any] = {}
        self.contestants: list[Contestant] = []

    def agree(self, picture: Path | None) -> None:
        """Say how well the two sides' masks agree, which precision each computes in, and who therefore races."""
        same, _, _ = inputs.our_masks(self.frames, self.model, "fp32")
        shipped, precision, digest = inputs.our_masks(self.frames, SHIPPED_MODEL, "auto")
        q = self.fast.heatmaps(self.model, self.frames.pattern)
        fasts = inputs.their_masks(q, self.fast.threshold, self.frames.size)
        its, far = inputs.precision_of(self.fast.heatmaps(self.model, self.frames.ready), self.frames, self.model)
        truth = list(self.frames.truths)
        self.notes = {
            "dice": {
                "FAST and smartca in fp32, same file": inputs.dice(fasts, same),
                "FAST and smartca as shipped": inputs.dice(fasts, shipped),
                **({"FAST and the truth": inputs.dice(fasts, truth)} if truth else {}),
                **({"smartca as shipped and the truth": inputs.dice(shipped, truth)} if truth else {}),
            },
            "precision": {"smartca": precision, "FAST": its},
            "largest_difference_of_q": {"FAST": far},
            "weights": {"smartca": digest, "same file": sha256(self.model)},
        }
        if picture is not None:
            number = int(np.argmax([mask.sum() for mask in shipped]))
            inputs.draw_both(picture, self.frames, number, shipped[number], fasts[number])
        self._enter(its)
        chosen = SHIPPED_MODEL.with_stem(f"{SHIPPED_MODEL.stem}-{precision}")
        if chosen.is_file():
            self._enter_shipped(chosen, shipped)

    def _enter(self, fast_precision: str) -> None:
        file, png, ready = self.model, self.frames.pattern, self.frames.ready
        drawn = ["--draw"]
        self._add("smartca", lambda: self._ours([]))
        self._add("FAST", lambda: self.fast.run(file, png, drawn))
        self._add("FAST, mask only", lambda: self.fast.run(file, png, []))
        self._add("FAST, made ready", lambda: self.fast.run(file, ready, []))
        self._add("smartca fp32", lambda: self._ours(["--model", str(file), "--precision", "fp32"]))
        if fast_precision != "fp32":
            self._add("smartca bf16", lambda: self._ours(["--model", str(file), "--precision", "bf16"]))
            its, far = inputs.precision_of(self.fast.heatmaps(file, ready, **NO_BF16), self.frames, file)
            self.notes["precision"]["FAST fp32"] = its
            self.notes["largest_difference_of_q"]["FAST fp32"] = far
            self._add("FAST fp32", lambda: self.fast.run(file, png, drawn, **NO_BF16))

    def _enter_shipped(self, chosen: Path, shipped: inputs.Masks) -> None:
        """FAST on the very file that smartca runs as shipped, where that is another one than the fp32 weights."""
        other = inputs.for_fast(chosen, self.folder / "other.onnx", exact=False)
        name = f"FAST, {chosen.name}"
        try:
            q = self.fast.heatmaps(other, self.frames.pattern)
        except RuntimeError as error:
            self.notes["cannot run"] = {name: str(error)}
            return
        masks = inputs.their_masks(q, self.fast.threshold, self.frames.size)
        self.notes["dice"][f"{name} and smartca as shipped"] = inputs.dice(masks, shipped)
        self._add(name, lambda: self.fast.run(other, self.frames.pattern, ["--draw"]))

    def _add(self, name: str, run: Callable[[], tuple[float, float, float]]) -> None:
        self.contestants.append(Contestant(name, run))

    def _ours(self, more: list[str]) -> tuple[float, float, float]:
        figures, restarts = smartca(self.frames, self.folder / "smartca.json", more)
        self.notes["smartca_restarts"] = self.notes.get("smartca_restarts", 0) + restarts
        return figures

    def round(self, number: int) -> None:
        """Everybody once, from another one on in every round."""
        turn = number % len(self.contestants)
        for contestant in self.contestants[turn:] + self.contestants[:turn]:
            contestant.race()
            print(f"round {number + 1}  {contestant.name:26} {contestant.fps[-1]:7.1f} frames/s", flush=True)

    def ratios(self) -> dict[str, dict[str, float]]:
        """smartca's frames/s over FAST's: of the medians, and the least and the most of one round."""
        known = {contestant.name: contestant for contestant in self.contestants}
        pairs = [("smartca", name) for name in known if name.startswith("FAST") and name != "FAST fp32"]
        pairs += [("smartca fp32", "FAST fp32" if "FAST fp32" in known else "FAST"), ("smartca bf16", "FAST")]
        ratios = {}
        for one, other in pairs:
            if one in known and other in known:
                mine, its = known[one], known[other]
                each = [a / b for a, b in zip(mine.fps, its.fps, strict=True)]
                middle = statistics.median(mine.fps) / statistics.median(its.fps)
                whole_command = statistics.median(its.all_s) / statistics.median(mine.all_s)
                figures = {"median": middle, "least": min(each), "most": max(each), "whole_command": whole_command}
                ratios[f"{one} / {other}"] = {key: round(value, 2) for key, value in figures.items()}
        return ratios


def tell(race: Race, ratios: dict[str, dict[str, float]]) -> None:
    """Print what was found."""
    print(f"\nprecision: {race.notes['precision']}\nDice: {race.notes['dice']}")
    print(f"\n{'median of the rounds':28}{'frames/s':>9}{'start-up s':>12}{'all, ms/frame':>15}")
    for contestant in race.contestants:
        found = contestant.figures()
        whole_ms = 1e3 * found["all_s"] / race.frames.count
        print(f"{contestant.name:28}{found['fps']:9.1f}{found['startup_s']:12.2f}{whole_ms:15.1f}")
    print()
    for pair, found in ratios.items():
        spread = f"{found['least']:.2f} to {found['most']:.2f} in one round"
        print(f"{pair:44}{found['median']:6.2f} x  ({spread}; with start-up {found['whole_command']:.2f} x)")
    reached = "reached" if ratios["smartca / FAST"]["median"] >= TARGET else "NOT reached"
    print(f"target, {TARGET} x FAST's frames/s from files to overlays: {reached}")


@click.command()
@click.option("--fast-python", type=click.Path(path_type=Path), default=Path("/tmp/fast-env/bin/python"))
@click.option("--source", default="phantom:", show_default=True, help="Where the frames come from, as `smartca run`.")
@click.option("--frames", "count", type=click.IntRange(2 * WARMING), default=120, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--picture", type=click.Path(path_type=Path), help="Write a PNG with both outlines.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write everything as JSON.")
def main(fast_python: Path, source: str, count: int, rounds: int, picture: Path | None, report: Path | None) -> None:
    """Race and print."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with screen(folder) as display:
            fast = Fast(fast_python, display, folder, 0, 0.5)
            fast.check()
            frames = inputs.write_frames(source, count, folder)
            race = Race(fast, frames, folder)
            fast.size, fast.threshold = frames.size, race.point.raw_threshold
            race.agree(picture)
            for number in range(rounds):
                race.round(number)
    ratios = race.ratios()
    tell(race, ratios)
    machine = {**asdict(processor()), "cores": os.cpu_count(), "load_before": load, "system": platform.platform()}
    print(f"load of the machine before: {load:.2f} on {os.cpu_count()} cores")
    if report is not None:
        found = {contestant.name: contestant.figures() for contestant in race.contestants}
        body = {"machine": machine, "versions": {**inputs.versions(), "pyfast": fast.version}, "frames": count}
        body |= {"picture_side": frames.size, "rounds": rounds, **race.notes, "contestants": found, "ratios": ratios}
        report.write_text(json.dumps(body, indent=2) + "\n")


if __name__ == "__main__":
    main()
