"""What stands beside an engine that takes another's place."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from smartca.commands.options import spared
from smartca.engine import OperatingPoint
from smartca.engine import operating_point as points
from smartca.engine import plan as plans
from smartca.engine.building.cache import deliver
from smartca.engine.plan import BuildSheet, EnginePlan, Input
from smartca.files import sha256

DIGEST = "ab" * 32


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine in the cache."""
    (tmp_path / "cache").mkdir()
    engine = tmp_path / "cache" / "made.engine"
    engine.write_bytes(b"an engine")
    plan = EnginePlan(onnx_sha256=DIGEST, backend="tensorrt", backend_version="0", precision="fp32")
    known = BuildSheet(
        plan=plan,
        engine_sha256=sha256(engine),
        model="made.onnx",
        input=Input("image", (1, 1, 8, 8)),
        outputs=("q",),
        layers={},
    )
    plans.save_sheet(engine, known)
    return engine


def deliver_over(engine: Path, left: str | bytes, out: Path) -> Path:
    """Deliver where an engine with `left` beside it was; where that would stand."""
    beside = points.point_path(out)
    beside.write_bytes(left if isinstance(left, bytes) else left.encode())
    deliver(engine, engine.parent.parent / "m.onnx", out)
    assert out.read_bytes() == b"an engine"
    return beside


def test_an_older_operating_point_does_not_stay(engine: Path, tmp_path: Path) -> None:
    points.save_point(OperatingPoint(model_sha256=DIGEST, threshold=0.9), tmp_path / "older")
    older = points.point_path(tmp_path / "older").read_bytes()
    assert not deliver_over(engine, older, tmp_path / "out.engine").exists()
    assert points.load_point(tmp_path / "out.engine", DIGEST).threshold == 0.5
    newer = OperatingPoint(model_sha256=DIGEST, threshold=0.2)
    points.save_point(newer, engine)
    assert deliver_over(engine, older, tmp_path / "out.engine").exists()
    assert points.load_point(tmp_path / "out.engine", DIGEST) == newer


@pytest.mark.parametrize("foreign", ['{"threshold": 0.5, "mine": 1}', "{}", "[]", "no JSON", b"\xff\xfe"])
def test_what_is_no_operating_point_stays(foreign: str | bytes, engine: Path, tmp_path: Path) -> None:
    assert deliver_over(engine, foreign, tmp_path / "out.engine").exists()


def test_that_of_a_model_stays(engine: Path, tmp_path: Path) -> None:
    model = tmp_path / "out.onnx"
    model.write_bytes(b"another model")
    kept = points.save_point(OperatingPoint(model_sha256=sha256(model)), model)
    before = kept.read_bytes()
    points.save_point(OperatingPoint(model_sha256=DIGEST, threshold=0.2), engine)
    deliver(engine, model, tmp_path / "out.engine")
    assert kept.read_bytes() == before
    assert points.load_point(tmp_path / "out.engine", DIGEST).threshold == 0.2


def test_a_report_never_takes_an_operating_points_place(engine: Path) -> None:
    point = points.save_point(OperatingPoint(model_sha256=DIGEST), engine)
    with pytest.raises(click.UsageError, match="belongs to"):
        spared(point, "--report", engine)
