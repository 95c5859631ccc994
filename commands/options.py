"""Options that several commands share, and what they mean once read."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from ..engine.contract import PRECISIONS, SHIPPED_MODEL, Engine, engine_at
from ..engine.operating_point import POINT_NAMES, PointName, point_path
from ..engine.usual import usual_model
from ..errors import FileError, MissingPackage, printable
from ..files import try_to_fill, try_to_write, write_json

F = TypeVar("F", bound=Callable[..., object])
FILE = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
PORT = 8765  # of the live page


def say(words: str) -> None:
    """Tell the person at the terminal; results go to stdout, words to stderr."""
    with contextlib.suppress(OSError):  # a terminal that was closed meanwhile
        click.echo(f"smartca: {words}", err=True)


def _engine(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> Engine:
    """Which network: given at most once, or one name would silently win over the other."""
    if len(value) > 1:
        raise click.BadParameter("give one engine: --engine and --model are two names of one option")
    return engine_at(value[0]) if value else usual()


def usual() -> Path:
    """The model to run where none is named; says so where it is not the shipped one. Raises ValueError."""
    model = usual_model()
    if model != SHIPPED_MODEL:
        say(f"the weights recorded by `smartca adapt --use` run: {model}; `smartca adapt --back` goes back")
    return model


def model_options(command: F) -> F:
    """--engine (or --model), --threshold, --point, --precision, --threads."""
    for option in (
        click.option(
            "--threads",
            type=click.IntRange(0, 256),
            default=0,
            help="Threads of an engine on the CPU.  [default: all cores but one]",
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", *PRECISIONS]),
            default="auto",
            show_default=True,
            help="auto: as the engine was built. For an .onnx model: int8 if an INT8 network stands beside it (as with "
            "the shipped model) and this processor is fast with it; else bf16 if the processor has it; else fp32.",
        ),
        click.option(
            "--point",
            type=click.Choice(POINT_NAMES),
            help="How much to outline: careful, hardly ever without a tear; searching, rather too much than too "
            "little.  [default: balanced]",
        ),
        click.option(
            "--threshold",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            callback=finite,
            help="Confidence from which a pixel is outlined, in place of a point.  [default: the point's]",
        ),
        click.option(
            "--engine",
            "--model",
            "engine",
            multiple=True,
            callback=_engine,
            metavar="FILE|triton://HOST:PORT/NAME|PLUGIN:REST",
            help="An .onnx model, what `smartca build` made of one, a Triton server, or a plugin's.  [default: the "
            "shipped model]",
        ),
    ):
        command = option(command)
    return command


def model_arguments(
    engine: Engine, threshold: float | None, precision: str, threads: int, point: PointName | None = None
) -> list[str]:
    """The same options again, for a process of ours."""
    limit = [] if threshold is None else ["--threshold", str(threshold)]
    limit += [] if point is None else ["--point", point]
    return ["--engine", str(engine), "--precision", precision, "--threads", str(threads), *limit]


def one_of_both(threshold: float | None, point: PointName | None) -> None:
    """Raises UsageError where both a threshold and a point are given: one would silently win."""
    if threshold is not None and point is not None:
        raise click.UsageError("--threshold takes the point's place: give one of --threshold and --point")


def insecure_option(command: F) -> F:
    """--insecure."""
    return click.option(
        "--insecure",
        is_flag=True,
        help="No encryption and no keys beyond this machine: pictures travel in the clear.",
    )(command)


def keep_screen_option(command: F) -> F:
    """--keep-screen."""
    words = "Do not blacken the rest of the screen: patients' names may be sent, shown and recorded."
    return click.option("--keep-screen", is_flag=True, help=words)(command)


def display_option(command: F) -> F:
    """--display."""
    return click.option(
        "--display",
        "displays",
        multiple=True,
        metavar="igtl://HOST:PORT|NAME:REST",
        help="Show in 3D Slicer or PLUS (OpenIGTLink), or on a plugin's display, as well; may be given several times.",
    )(command)


def crop_option(command: F) -> F:
    """--crop."""
    return click.option(
        "--crop",
        default="auto",
        show_default=True,
        metavar="auto|X,Y,W,H",
        help="The ultrasound picture inside the scanner's screen, in pixels.",
    )(command)


def finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """Refuse 'nan', which passes every range."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number to work with")
    return value


def spared(result: Path | None, what: str, *inputs: Engine | str) -> None:
    """Never let a result take the place of what it is made from: models with what stands beside them, data.

    Raises UsageError.
    """
    if result is None:
        return
    for given in inputs:
        if not isinstance(given, str | Path):
            continue
        file = Path(given)
        ready = file.with_name(f"{file.stem}-int8{file.suffix}")
        beside: set[Path] = set()
        for one in (file, ready):
            beside |= {one, one.with_suffix(".json"), point_path(one), Path(f"{one}.json")}
        if result.resolve() in {other.resolve() for other in beside if other.exists()}:
            raise click.UsageError(f"{result} belongs to {file}; give {what} another name, so that nothing is lost")


def apart(source: str, record: Path | None, report: Path | None) -> None:
    """Never let a result take the place of the source or of another result. Raises UsageError."""
    if record is not None and record.suffix.lower() != ".mp4":
        raise click.UsageError(f"{record} does not end in .mp4; recordings are MP4 films")
    masks = [] if record is None else [record.with_suffix(".frames.jsonl")]
    taken = [Path(source)] if Path(source).exists() else []
    for path in [*([record] if record else []), *masks, *([report] if report else [])]:
        if path.resolve() in [other.resolve() for other in taken]:
            raise click.UsageError(f"{path} would be written over; give --record and --report names of their own")
        taken.append(path)


def writable(path: Path | None, what: str, make: bool = False) -> None:
    """Find out before the work, not after it, that a result could not be written; `make` its folder where it lacks.

    Raises UsageError.
    """
    if path is None:
        return
    _refuse_no_text(path, what)
    folder = path.absolute().parent
    if path.is_dir():
        raise click.UsageError(f"{path} is a folder; give {what} a file's name")
    if path.exists() and not path.is_file():  # a device or a pipe: it would give way to a file
        raise click.UsageError(f"{path} is no file that could be replaced; choose another place for {what}")
    if not make and not folder.is_dir():
        raise click.UsageError(f"there is no folder {folder}; make it first, for {what}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try_to_write(path)
    except OSError as error:
        raise _not_there(path, what, error) from error


def fillable(folder: Path | None, what: str) -> None:
    """Find out before the work that results could not be written into `folder`; makes nothing. Raises UsageError."""
    if folder is None:
        return
    _refuse_no_text(folder, what)
    try:
        try_to_fill(folder)
    except OSError as error:
        raise _not_there(folder, what, error) from error


def _refuse_no_text(path: Path, what: str) -> None:
    """UsageError for a result's name that other programs and reports could not say."""
    if not str(path).isprintable():
        raise click.UsageError(f"the name {printable(str(path))} holds what is no letter; choose another for {what}")


def _not_there(path: Path, what: str, error: OSError) -> click.UsageError:
    return click.UsageError(f"{path} may not be written ({error.strerror}); choose another place for {what}")


def write_report(report: dict[str, object], path: Path | None) -> None:
    """Write the report, all of it or nothing."""
    if path is None:
        return
    try:
        write_json(path, report)
    except OSError as error:
        raise FileError(
            f"the report {path} cannot be written ({error.strerror}); free some space or choose another place"
        ) from error


@contextmanager
def needs_torch() -> Iterator[None]:
    """Turns the absence of a package into the extra that brings it. Raises ImportError with one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{error.name} is not installed; training needs the extra 'train': "
            "uv sync --extra train, or pip install 'smartca[train]'"
        ) from error


LABELLED = (
    "a folder with images/ and masks/ (split.csv where patients have several), COCO (.json or its folder), CVAT for "
    "images 1.1 (.xml or its folder), a folder of LabelMe .json files"
)

data_option = click.option(
    "--data",
    default="phantom",
    show_default=True,
    metavar="phantom|DIR|FILE",
    help=f"Simulated shoulders, or your pictures: {LABELLED}.",
)


def split_option(usual: str) -> Callable[[F], F]:
    """--split, which is `usual` unless given."""
    return click.option(
        "--split", default=usual, show_default=True, help="Which labelled pictures: train, val, test or all."
    )


mask_value_option = click.option(
    "--mask-value",
    type=click.IntRange(1, 255),
    help="The tear's value in masks of several classes.  [default: any]",
)


label_option = click.option(
    "--label",
    multiple=True,
    metavar="NAME",
    help="The tear's label, where COCO, CVAT or LabelMe have several; given several times, all of them together.",
)


threads_option = click.option(
    "--threads", type=click.IntRange(1, 256), default=2, show_default=True, help="CPU threads."
)
