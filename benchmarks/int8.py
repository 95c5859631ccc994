"""INT8 against fp32 and bf16 on this processor: how much faster, and what it costs in Dice, in one run.

    python benchmarks/int8.py [--json OUT]                                        the shipped model, held-out phantoms
    python benchmarks/int8.py --model X.onnx --data FOLDER [--mask-value N]       another, on the folder's split 'test'

The INT8 network is the one that stands ready beside the model; where there is none, it is made with pictures of the
split 'train' and a gate on 'val' (the test pictures are never looked at for it), and kept in the cache of engines.

Every round asks each engine in turn, so that what else the machine does hits all alike; medians over rounds. Beside the
wall clock stands the processor time of the whole process, which another program's load hardly changes. fp32 and bf16
are OpenVINO's own of the same file. The INT8 engine computes its last enlargement and the confidence in fewer steps
(engine/cpu/quick_int8.py, engine/cpu/quick_confidence.py), which fp32 and bf16 could do as well: the rows
'with the same shortcuts' grant them that, and the smaller ratios against those rows are printed too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from smartca.calibration.int8.data import CalibrationData
from smartca.engine import SHIPPED_MODEL, EngineError, operating_point
from smartca.engine.cpu.openvino_import import ov, the_core
from smartca.engine.cpu.openvino_runner import HINTS, OpenVinoRunner
from smartca.engine.cpu.quick_confidence import shorten
from smartca.engine.cpu.quick_int8 import enlarge_quickly
from smartca.engine.cpu.ready_int8 import place, why_not
from smartca.engine.letterbox import letterbox, to_input
from smartca.engine.machine import processor
from smartca.engine.operating_point import OperatingPoint
from smartca.engine.segmenter import Segmenter
from smartca.evaluation.evaluate import evaluate
from smartca.evaluation.samples import EvaluationSet, samples
from smartca.files import sha256
from smartca.pictures.pixels import Grey

WARM, EACH = 5, 10  # inferences of an engine in a round
TARGETS = {"fp32": 2.0, "bf16": 1.2}
QUICK = " with the same shortcuts"


def main() -> int:
    """Measure and print; exit code 1 with a sentence where there can be no INT8 network."""
    given = _options()
    try:
        int8 = _int8(given)
    except (EngineError, ValueError, OSError) as error:
        raise SystemExit(f"int8.py: {error}") from None
    pictures = _pictures(given)
    report: dict[str, object] = {
        "model": given.model.name,
        "processor": processor().name,
        "openvino": ov.__version__,
        "timing": [_timing(given.model, int8, pictures, threads, given.rounds) for threads in given.threads],
        "scores": {} if given.no_scores else _scores(given, int8),
    }
    _print(report)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="INT8 against fp32 and bf16: speed and Dice")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--data", default="phantom:seeds=90001..90020,frames=10", help="phantoms, or a labelled folder")
    parser.add_argument("--mask-value", type=int)
    parser.add_argument("--worst-frame", type=float, default=0.05, help="Dice that a frame may lose at the gate")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2])
    parser.add_argument("--no-scores", action="store_true", help="only the timing")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _int8(given: argparse.Namespace) -> Path:
    """The INT8 network of the model: ready beside it, or made now."""
    if place(given.model).is_file() and why_not(given.model) is None:
        return place(given.model)
    from smartca.commands.build import calibration_of
    from smartca.engine.building.assembly import Options
    from smartca.engine.building.build import build_engine

    source = "phantom" if given.data.startswith("phantom") else given.data
    options = Options(
        "openvino",
        "int8",
        calibration=calibration_of(CalibrationData(source, mask_value=given.mask_value, worst_frame=given.worst_frame)),
    )
    return build_engine(
        given.model, options, lambda phase, done, total: print(f"\r{phase} {done}/{total}    ", end="", file=sys.stderr)
    )


def _samples(given: argparse.Namespace) -> EvaluationSet:
    return samples(given.data, "test", None, given.mask_value)


def _pictures(given: argparse.Namespace) -> list[NDArray[np.float32]]:
    size = _size(given.model)
    squares: list[Grey] = []
    for sample in _samples(given).each:
        squares.append(letterbox(sample.pixels, sample.sector, size))
        if len(squares) == WARM + EACH:
            break
    return [to_input(square) for square in squares]


def _size(model: Path) -> int:
    return int(the_core().read_model(str(model)).input(0).shape[2])


def _timing(
    model: Path, int8: Path, pictures: list[NDArray[np.float32]], threads: int, rounds: int
) -> dict[str, object]:
    """Medians in ms, by the wall clock and of processor time, and their ratios to INT8's."""
    requests = {
        "fp32": _compiled(model, "fp32", threads, False),
        "bf16": _compiled(model, "bf16", threads, False),
        "fp32" + QUICK: _compiled(model, "fp32", threads, True),
        "bf16" + QUICK: _compiled(model, "bf16", threads, True),
    }
    wall: dict[str, list[float]] = {name: [] for name in (*requests, "int8")}
    busy: dict[str, list[float]] = {name: [] for name in wall}
    with OpenVinoRunner(int8, "auto", threads) as runner:

        def ask(name: str, picture: NDArray[np.float32]) -> None:
            if name == "int8":
                runner.infer(picture)
            else:
                requests[name].infer(picture)

        for number in range(rounds):
            for name in wall:
                for picture in pictures[:WARM] if number == 0 else pictures[:1]:
                    ask(name, picture)
                for turn in range(EACH):
                    started, used = time.perf_counter(), time.process_time()
                    ask(name, pictures[turn % len(pictures)])
                    wall[name].append((time.perf_counter() - started) * 1e3)
                    busy[name].append((time.process_time() - used) * 1e3)
    rows = {
        name: {"wall_ms": round(statistics.median(wall[name]), 3), "cpu_ms": round(statistics.median(busy[name]), 3)}
        for name in wall
    }
    times = {
        f"{name} / int8": {clock: round(row[clock] / rows["int8"][clock], 3) for clock in row}
        for name, row in rows.items()
        if name != "int8"
    }
    return {"threads": threads, "median": rows, "times_faster": times}


def _compiled(model: Path, precision: str, threads: int, quick: bool) -> ov.InferRequest:
    """As OpenVinoRunner compiles it, perhaps with the shortcuts that it takes in INT8."""
    core = the_core()
    network = core.read_model(str(model))
    if quick:
        for node in network.get_ordered_ops():
            if node.get_type_name() == "Interpolate":
                enlarge_quickly(node)
        shorten(network)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "ENABLE_CPU_PINNING": False,
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    return core.compile_model(network, "CPU", settings).create_infer_request()


def _scores(given: argparse.Namespace, int8: Path) -> dict[str, object]:
    """Scores on the test pictures in every precision, each file at the same operating point."""
    found: dict[str, object] = {}
    digest = sha256(given.model)
    point: OperatingPoint = operating_point.load_point(given.model, digest)
    for name, path in (("fp32", given.model), ("bf16", given.model), ("int8", int8)):
        with OpenVinoRunner(path, "auto" if name == "int8" else name, 2) as runner:
            report = evaluate(Segmenter(runner, point), _samples(given), lambda done, total: None)
        found[name] = report["truth"]
    return found


def _print(report: dict[str, object]) -> None:
    timing = report["timing"]
    assert isinstance(timing, list)
    for part in timing:
        print(
            f"\n{part['threads']} thread(s), {report['processor']}: median ms of one inference (wall, processor time)"
        )
        for name, row in part["median"].items():
            print(f"  {name:28s} {row['wall_ms']:7.2f} {row['cpu_ms']:7.2f}")
        for name, row in part["times_faster"].items():
            target = TARGETS.get(name.split(" / ")[0])
            wanted = f"  (wanted: {target})" if target else ""
            print(f"  {name:28s} {row['wall_ms']:7.2f} {row['cpu_ms']:7.2f} times{wanted}")
    scores = report["scores"]
    assert isinstance(scores, dict)
    for name, row in scores.items():
        change = row["dice_pooled"] - scores["fp32"]["dice_pooled"]
        print(f"  {name}: pooled Dice {row['dice_pooled']:.4f} ({change:+.4f}), recall {row['recall']:.4f}, "
              f"a picture {row['dice_per_image']:.4f}, outlines on {row['false_positive_frames']} of "
              f"{row['negative_frames']} frames without a tear")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
