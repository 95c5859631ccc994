"""Pin every version anew: [tool.uv] constraint-dependencies in pyproject.toml, and hashed requirements.txt.

    uv run --group dev python tests/pin.py

Neither file holds an address. What torch pins itself (its CUDA libraries) is left to it. The pins cannot stand in a
uv.toml: `uv lock`, `uv sync` and `uv run` read constraint-dependencies from pyproject.toml alone, and give no warning.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ITS_OWN = ("nvidia-", "cuda-", "triton=")
EXTRAS = ("--extra", "train", "--extra", "rtx", "--extra", "triton", "--extra", "pycuda")
COMPILE = ["uv", "pip", "compile", "--universal", "--python-version", "3.10", "--no-header", "--no-annotate"]


def compiled(*options: str) -> list[str]:
    """Lines of `uv pip compile` for this project."""
    command = [*COMPILE, "--no-emit-index-url", *options, "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def main() -> None:
    """Write both files."""
    project = ROOT / "pyproject.toml"
    text = re.sub(r"constraint-dependencies = \[.*?\n\]\n", "", project.read_text(), flags=re.DOTALL)
    project.write_text(text)  # yesterday's pins must not hold today's back
    pins = [line for line in compiled(*EXTRAS, "--group", "dev") if not line.startswith(ITS_OWN)]
    block = "".join(f'    "{line}",\n' for line in pins)
    mark = "default-groups = []\n"
    project.write_text(text.replace(mark, f"{mark}constraint-dependencies = [\n{block}]\n"))
    (ROOT / "requirements.txt").write_text("\n".join(compiled("--generate-hashes")) + "\n")


if __name__ == "__main__":
    main()
