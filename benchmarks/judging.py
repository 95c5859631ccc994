"""What the programs that judge a network on real pictures share: their options, their last sentence, their facts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import click
from smartca.cli import sentence
from smartca.commands.options import spared, writable
from smartca.engine import SHIPPED_MODEL, Segmenter, open_segmenter
from smartca.engine.machine import processor, versions
from smartca.engine.operating_point import POINT_NAMES
from smartca.pictures.composites.breast_lesions import Lesion, lesions_for

LESIONS = "seg_lesion_busi"


def options(doc: str | None, data: bool = True) -> argparse.ArgumentParser:
    """The options that all have, `data` where real pictures are asked about; `doc` is the program's own docstring."""
    asked = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    if data:
        asked.add_argument("data", type=Path, help="the folder that holds clips/, stills_msk/, dicom/, plus/")
    asked.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    asked.add_argument("--precision", default="auto")
    asked.add_argument("--point", choices=POINT_NAMES, help="default: balanced")
    asked.add_argument("--json", type=Path)
    return asked


def told(program: str, measure: Callable[[argparse.Namespace], None], given: argparse.Namespace) -> None:
    """Measure; what a person can mend ends in one sentence and an exit code."""
    try:
        writable(given.json, "--json")
        spared(given.json, "--json", given.model)
        measure(given)
    except click.ClickException as error:
        raise SystemExit(f"{program}: {error.message}") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise SystemExit(f"{program}: {sentence(error)}") from None


def opened(given: argparse.Namespace) -> Segmenter:
    """The segmenter that is judged."""
    return open_segmenter(given.model, precision=given.precision, point=given.point)


def unseen_lesions(data: Path) -> list[Lesion]:
    """The breast lesions that no training saw; none where they are not here."""
    return lesions_for("test", data / LESIONS) if (data / LESIONS).is_dir() else []


def about(segmenter: Segmenter) -> dict[str, object]:
    """Which weights ran where, and at which operating point."""
    info = segmenter.runner.info
    return {
        "model_sha256": info.model_sha256,
        "backend": info.backend,
        "precision": info.precision,
        "threshold": segmenter.point.threshold,
        "device": processor().name,
        "versions": versions(),
    }
