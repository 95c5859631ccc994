"""What stands in a folder that `smartca adapt` writes, so that the same command goes on. No torch is needed here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from ..engine.operating_point import point_path
from ..errors import UNDECODABLE, FileError, InputError
from ..files import sha256, write_json

ADAPTED, PAGE_FILE, RECORD_FILE = "adapted.onnx", "adapted.html", "adapt.json"
LETTING_GO_S = 2.0  # that a process which was killed may take to end


class Record(msgspec.Struct, frozen=True):
    """DIR/adapt.json: what is adapted to what. `done` and what follows it stand there once it is finished."""

    frames: str  # digest of all pictures, masks, and who is held out
    start: str  # digest of the checkpoint
    wanted: str
    steps: int = 0
    done: str = ""  # SHA-256 of the model
    worth: bool = True
    words: str = ""  # the verdict


def finished(out: Path, record: Record) -> bool:
    """Whether the model in `out` is whole, and the one that was made."""
    model = out / ADAPTED
    return bool(record.done) and model.is_file() and point_path(model).is_file() and sha256(model) == record.done


def read_record(out: Path) -> Record | None:
    """What stands in the folder; None where nothing was begun. Raises ValueError where it is damaged."""
    path = out / RECORD_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UNDECODABLE as error:
        raise InputError(f"{path} is damaged; give another --out") from error


def begun_alike(out: Path, asked: Record) -> Record | None:
    """What was begun in `out` for the same frames, start and options; None where nothing was.

    Raises ValueError where it is another adapting.
    """
    record = read_record(out)
    if record is None:
        return None
    if record.frames != asked.frames:
        raise InputError(f"{out} holds a network adapted to other frames; give another --out")
    if record.start != asked.start:
        raise InputError(f"{out} holds a network that was started from other weights; give another --out")
    if record.wanted != asked.wanted:
        raise InputError(f"{out} was begun with other options; give those again, or another --out")
    return record


def write_record(out: Path, record: Record) -> None:
    """Store it, all of it or nothing."""
    write_json(out / RECORD_FILE, record)


def model_to_use(out: Path) -> tuple[Path, Record]:
    """The finished model in `out`. Raises ValueError, with the cure, for a folder that holds none."""
    record = read_record(out)
    if record is None:
        raise InputError(f"{out} holds nothing adapted; give --use the folder that `smartca adapt` wrote")
    if not record.done:
        raise InputError(f"{out} is not finished; give the `smartca adapt ... --out {out}` command again first")
    if not finished(out, record):
        raise InputError(f"{out / ADAPTED} is not what `smartca adapt` wrote there; adapt again, with another --out")
    return out / ADAPTED, record


def make_folder(out: Path, frames: Path) -> None:
    """The folder for the results. Raises ValueError or OSError, before any work, where they may not go there."""
    if out.resolve() == frames.resolve():
        raise InputError(f"{out} holds your frames; give --out a folder of its own")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        others = [path for path in out.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise FileError(f"{out} cannot be written ({error.strerror}); choose another place for --out") from error
    if others and not (out / RECORD_FILE).is_file():
        raise InputError(f"{out} holds other things, such as {others[0].name}; give --out a new or an empty folder")


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Nobody else adapts into the folder. Raises ValueError where somebody does."""
    try:
        with FileLock(out / ".adapting.lock", timeout=LETTING_GO_S):
            yield
    except Timeout as error:
        raise InputError(f"another `smartca adapt` writes to {out}; let it end, or give another --out") from error
