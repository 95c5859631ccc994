"""Files damaged at random: each gives pictures or one sentence, without a traceback, a hang or much memory.

    uv run python benchmarks/corruption.py FOLDER [--each 200] [--only .png .mp4] [--out FILE.json]

FOLDER holds real files of several forms. Files of each form, small and large ones, are cut, have bits flipped, or
their beginnings swapped. A form has a process of its own, which is killed where it hangs, and whose memory is measured.
`--out` adds the forms of this run to those that FILE.json holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np
from smartca.engine.machine import processor, versions
from smartca.errors import SmartcaError
from smartca.files import write_json
from smartca.pictures.pixels import check_picture
from smartca.stream.sources import open_source

SECONDS, MOST_BYTES, LATER_PICTURES = 10, 4 << 30, 3
GRACE = 3 * SECONDS  # for what hangs outside of Python, where no alarm rings
FORMS = (".png", ".jpg", ".mp4", ".mpeg", ".dcm", ".mha", ".nrrd")
BUGS = ("hang", "traceback", "memory", "crash")
FILES = 4  # of each form


class Outcome(NamedTuple):
    """What became of a file: pictures, a sentence, or one of BUGS; the words; the digest of the first pictures."""

    what: str
    words: str = ""
    digest: str = ""


@dataclass
class Form:
    """What became of all damaged files of a form."""

    files: int
    counts: Counter[str] = field(default_factory=Counter[str])
    unchanged: int = 0  # of the pictures: as in the undamaged file
    slowest: float = 0.0  # seconds
    peak_mb: float = 0.0  # of the process, its libraries included

    def as_report(self) -> dict[str, int | float]:
        """Its part of the JSON."""
        return {
            "files": self.files,
            "corruptions": self.counts.total(),
            "pictures": self.counts["pictures"],
            "pictures_unchanged": self.unchanged,
            "sentences": self.counts["sentence"],
            "tracebacks": self.counts["traceback"],
            "hangs": self.counts["hang"],
            "out_of_memory": self.counts["memory"],
            "crashes": self.counts["crash"],
            "slowest_s": round(self.slowest, 4),
            "peak_memory_mb": round(self.peak_mb),
        }


def damaged(content: bytes, seed: int, other: bytes = b"") -> bytes:
    """`content` cut, with flipped bits near its beginning or anywhere, or with the beginning of `other`."""
    rng = np.random.default_rng(seed)
    kind, whole = seed % 4, bytearray(content)
    if kind == 0:
        return content[: int(rng.integers(len(content)))]
    if kind == 3 and other:
        size = int(rng.integers(1, min(len(content), len(other), 2000)))
        return other[:size] + content[size:]
    reach = min(len(content), 2000) if kind == 1 else len(content)
    for _ in range(int(rng.integers(1, 30))):
        whole[int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
    return bytes(whole)


def outcome(path: Path) -> Outcome:
    """What became of it."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    total = hashlib.blake2b(digest_size=16)
    try:
        with open_source(str(path)) as source:
            for number, picture in enumerate(source.pictures()):
                check_picture(picture.pixels)
                total.update(f"{picture.pixels.shape}".encode() + picture.pixels.tobytes())
                if number >= LATER_PICTURES:
                    break
        return Outcome("pictures", digest=total.hexdigest())
    except TimeoutError:
        return Outcome("hang")
    except MemoryError as error:
        return Outcome("memory", str(error))
    except SmartcaError as error:
        return Outcome("sentence" if "\n" not in str(error) else "traceback", str(error))
    except Exception as error:
        return Outcome("traceback", f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damaged_files(paths: Sequence[Path], other: bytes, seeds: Sequence[int], tell: Connection) -> None:
    """Tell (outcome, as undamaged, seconds, peak MB) of each seed; file after file takes its turn."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    right = {path: outcome(path).digest for path in paths}
    with tempfile.TemporaryDirectory() as place:
        for seed in seeds:
            path = paths[seed // 4 % len(paths)]  # each kind of damage to each file
            spoilt = Path(place) / f"a{path.suffix}"
            spoilt.write_bytes(damaged(path.read_bytes(), seed, other))
            began = time.monotonic()
            found = outcome(spoilt)
            took, peak = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            tell.send((found, bool(found.digest) and found.digest == right[path], took, peak))


def judged(paths: Sequence[Path], other: bytes, each: int) -> Form:
    """All `each` damaged files in processes of their own; one that dies or hangs is replaced behind what it read."""
    form, done = Form(len(paths)), 0
    context = multiprocessing.get_context("spawn")
    while done < each:
        hear, tell = context.Pipe(duplex=False)
        worker = context.Process(target=damaged_files, args=(paths, other, range(done, each), tell))
        worker.start()
        tell.close()
        done = _heard(form, hear, done, each, paths[0].suffix)
        worker.kill()
        worker.join()
    return form


def _heard(form: Form, hear: Connection, done: int, each: int, name: str) -> int:
    """How many have been read when all are, or the process hangs or has died."""
    while done < each:
        try:
            found, same, took, peak = hear.recv() if hear.poll(GRACE) else (Outcome("hang"), False, float(GRACE), 0.0)
        except EOFError:
            found, same, took, peak = Outcome("crash"), False, 0.0, 0.0
        form.counts[found.what] += 1
        form.unchanged += same
        form.slowest, form.peak_mb = max(form.slowest, took), max(form.peak_mb, peak)
        if found.what in BUGS:
            print(f"  {name} seed {done}: {found.what} {found.words[:300]}", flush=True)
        done += 1
        if found.what == "crash" or not peak:
            break
    return done


def chosen(folder: Path, only: Sequence[str] = FORMS) -> dict[str, list[Path]]:
    """Up to FILES files of each form, from the smallest to the largest."""
    found: dict[str, list[Path]] = {}
    for form in only:
        files = [path for path in folder.rglob("*") if path.suffix.lower() == form and path.is_file()]
        files.sort(key=lambda path: (path.stat().st_size, path))
        if files:
            places = np.linspace(0, len(files) - 1, min(FILES, len(files))).round().astype(int)
            found[form] = [files[place] for place in places]
    return found


def add_to(out: Path, forms: dict[str, Form]) -> None:
    """Write the forms to `out`, beside those that it holds."""
    held = json.loads(out.read_text(encoding="utf-8"))["forms"] if out.is_file() else {}
    facts = {"device": processor().name, "versions": versions(), "hang_after_s": SECONDS}
    write_json(out, {**facts, "forms": {**held, **{name: form.as_report() for name, form in forms.items()}}})


def _line(name: str, form: Form) -> str:
    bugs = [form.counts[what] for what in ("traceback", "hang", "memory", "crash")]
    good = f"{name:6} {form.files:5} {form.counts['pictures']:8} {form.unchanged:9} {form.counts['sentence']:8}"
    return f"{good} {bugs[0]:9} {bugs[1]:4} {bugs[2]:6} {bugs[3]:5} {form.peak_mb:8.0f}"


def main() -> int:
    """Print a table, a form a line; 1 if anything was a bug."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--each", type=int, default=200)
    ask.add_argument("--only", nargs="+", choices=FORMS, default=FORMS, help="forms")
    ask.add_argument("--out", type=Path, help="JSON")
    given = ask.parse_args()
    files, forms = chosen(given.folder), dict[str, Form]()
    if not any(form in files for form in given.only):
        ask.error(f"{given.folder} holds no file of {', '.join(given.only)}; give a folder of real files")
    print("form   files pictures unchanged sentence traceback hang memory crash  peak MB", flush=True)
    for number, (name, paths) in enumerate(files.items()):
        if name not in given.only:
            continue
        other = list(files.values())[number - 1][0].read_bytes()[:4096]
        form = forms[name] = judged(paths, other, given.each)
        print(_line(name, form), flush=True)
        if given.out is not None:
            add_to(given.out, forms)
    return int(any(form.counts[what] for form in forms.values() for what in BUGS))


if __name__ == "__main__":
    sys.exit(main())
