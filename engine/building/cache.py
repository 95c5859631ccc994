"""Engines that were built here: a folder per plan, named by the plan's key, which appears whole or not at all.

Nothing is looked up by a model's path, so a retrained model never meets its predecessor's engine.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ...files import sha256, write_whole
from .. import operating_point as points
from .. import plan
from ..contract import EngineError, Progress
from ..plan import EnginePlan, suffix
from .output_checks import is_point

KEY_DIGITS = 20  # of a folder's name; the whole plan is compared
WAITING = "waiting for another build of the same engine"


class EngineCache:
    """The engines under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, made: EnginePlan) -> Path:
        """Where the engine of this plan is, or would be."""
        return self.root / made.key()[:KEY_DIGITS]

    def find(self, made: EnginePlan) -> Path | None:
        """The engine of exactly this plan, whole and undamaged; None where there is none."""
        for path in self.folder(made).glob(f"*{suffix(made.backend)}.json"):
            engine = path.with_suffix("")
            with contextlib.suppress(EngineError, OSError):
                sheet = plan.load_sheet(engine)
                has_point = points.point_path(engine).is_file() or made.operating_point is None
                if sheet.plan == made and sha256(engine) == sheet.engine_sha256 and has_point:
                    return engine
        return None

    @contextlib.contextmanager
    def locked(self, made: EnginePlan, progress: Progress) -> Iterator[None]:
        """One process at a time for this plan; the system frees the lock of one that was killed.

        Raises EngineError where the cache cannot be written.
        """
        from filelock import FileLock, Timeout

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder(made).with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                progress(WAITING, 0, 1)
                lock.acquire()
                progress(WAITING, 1, 1)
        except OSError as error:
            raise EngineError(
                f"the cache {self.root} cannot be written ({error.strerror}); make it writable or free some space"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def add(self, made: EnginePlan, fill: Callable[[Path], object]) -> Path:
        """Let `fill` write an engine and its build sheet into a new folder, which then takes its place in one rename.

        To be called with the plan locked. Raises what `fill` raises, and then leaves nothing behind.
        """
        folder = self.folder(made)
        for left in self.root.glob(f"{folder.name}.*.partial"):  # of a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(dir=self.root, prefix=f"{folder.name}.", suffix=".partial"))
        try:
            fill(partial)
            shutil.rmtree(folder, ignore_errors=True)  # a damaged one
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        engine = self.find(made)
        if engine is None:
            raise EngineError(f"the engine in {folder} was damaged while it was written; is the disk sound?")
        return engine


def deliver(engine: Path, model: Path, out: Path) -> Path:
    """Copy an engine with its operating point and, last, its build sheet to `out`; `model` is what it was built from.

    A copy cut off before its build sheet is refused by `plan.misfit`.
    """
    whole = model.resolve()
    together = whole.parent == out.resolve().parent
    sheet = msgspec.structs.replace(plan.load_sheet(engine), model=whole.name if together else str(whole))
    plan.sheet_path(out).unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, engine.read_bytes())
    point = points.point_path(engine)
    if point.is_file():
        write_whole(points.point_path(out), point.read_bytes())
    else:
        _forget_point(out)
    plan.save_sheet(out, sheet)
    return out


def _forget_point(engine: Path) -> None:
    """Take away the operating point of the engine that was there before; what is none stays."""
    if is_point(points.point_path(engine)):
        points.point_path(engine).unlink()
