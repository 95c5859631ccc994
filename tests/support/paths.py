"""Where things lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"  # real clips and pictures; tests that need them are skipped where they are not
SUPPORT = Path(__file__).resolve().parent


def import_path(test: str) -> str:
    """What a child process puts on its import path to import the test file `test`, and what that imports."""
    return os.pathsep.join((str(Path(test).parent), str(SUPPORT.parent)))
