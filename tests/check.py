"""Every check, one after the other; the same for people, for git's hooks and for CI. pytest's closing line comes last.

uv run --extra train --extra rtx --extra triton --group dev python tests/check.py [--no-tests | pytest's options]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 40 * 60
QUICK = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("pyright",),
)


def main(options: list[str]) -> int:
    """Run all of them; the exit code says whether all passed."""
    failed = []
    for module, *arguments in QUICK if options == ["--no-tests"] else (*QUICK, ("pytest", "-ra", *options)):
        print(f"== {module} {' '.join(arguments)}", flush=True)
        try:
            code = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, timeout=PATIENCE_S).returncode
        except subprocess.TimeoutExpired:  # a library that hangs without the interpreter's lock stops every test's own
            print(f"{module} did not end within {PATIENCE_S // 60} minutes", file=sys.stderr, flush=True)
            code = 1
        if code:
            failed.append(module)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
