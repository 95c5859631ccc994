"""Files damaged at random: each gives pictures or one sentence, without a traceback, a hang or much memory.

    uv run python benchmarks/corruption.py FOLDER [--each 200]

FOLDER holds real files of several forms. Each form's smallest file is cut, has bits flipped, or its beginning swapped.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

import numpy as np
from smartca.errors import SmartcaError
from smartca.stream.sources import open_source

SECONDS, MOST_BYTES, LATER_PICTURES = 10, 4 << 30, 3
FORMS = (".png", ".jpg", ".mp4", ".mpeg", ".dcm", ".mha", ".nrrd")
BUGS = ("hang", "bug", "memory")


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


def outcome(path: Path) -> tuple[str, str]:
    """What became of it: pictures, a sentence, or one of BUGS, and the words."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with open_source(str(path)) as source:
            for number, picture in enumerate(source.pictures()):
                if picture.pixels.dtype != np.uint8 or number >= LATER_PICTURES:
                    break
        return "pictures", ""
    except TimeoutError:
        return "hang", ""
    except MemoryError as error:
        return "memory", str(error)
    except SmartcaError as error:
        return ("sentence" if "\n" not in str(error) else "bug"), str(error)
    except Exception as error:
        return "bug", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Print a table, a form a line; 1 if anything was a bug."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--each", type=int, default=200)
    given = ask.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    files = [path for path in sorted(given.folder.rglob("*")) if path.suffix.lower() in FORMS]
    smallest = {
        form: min(found, key=lambda path: path.stat().st_size)
        for form in FORMS
        if (found := [path for path in files if path.suffix.lower() == form])
    }
    bad = 0
    print("form   pictures sentence hang bug memory", flush=True)
    for number, (form, path) in enumerate(smallest.items()):
        other = list(smallest.values())[number - 1].read_bytes()[:4096]
        content, counts = path.read_bytes(), Counter[str]()
        with tempfile.TemporaryDirectory() as place:
            for seed in range(given.each):
                spoilt = Path(place) / f"a{form}"
                spoilt.write_bytes(damaged(content, seed, other))
                what, words = outcome(spoilt)
                counts[what] += 1
                if what in BUGS:
                    print(f"  {form} seed {seed}: {what} {words[:300]}", flush=True)
        bad += sum(counts[what] for what in BUGS)
        print(
            f"{form:6} {counts['pictures']:8} {counts['sentence']:8} "
            f"{counts['hang']:4} {counts['bug']:3} {counts['memory']:6}",
            flush=True,
        )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
