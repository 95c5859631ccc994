"""benchmarks/gpu.sh, as far as it gets without an NVIDIA GPU: it says so before it makes anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu.sh"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="bash is absent")


def gpu_sh(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it where there are sed and dirname, and no nvidia-smi."""
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("sed", "dirname"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    told = {**os.environ, "PATH": str(tools), "PYTHON": sys.executable, "SMARTCA_GPU_ENV": str(folder / "env")}
    return subprocess.run([str(BASH), str(SCRIPT), *options], capture_output=True, text=True, env=told)


@pytest.mark.parametrize("options", [["--help"], ["-h"], ["--quick", "--help"]])
def test_help_makes_no_environment(options: list[str], tmp_path: Path) -> None:
    done = gpu_sh(tmp_path, *options)
    assert done.returncode == 0 and done.stderr == ""
    assert all(option in done.stdout for option in ("--find-links", "--here", "--report", "--quick", "$PYTHON"))
    assert "set -u" not in done.stdout
    assert not (tmp_path / "env").exists()


def test_without_a_gpu_nothing_is_installed(tmp_path: Path) -> None:
    done = gpu_sh(tmp_path, "--quick")
    assert done.returncode == 1
    assert "no nvidia-smi" in done.stderr and "--here" in done.stderr
    assert not (tmp_path / "env").exists()


def test_no_result_names_a_folder_of_the_machine_it_was_made_on() -> None:
    results = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert results
    assert [path.name for path in results if re.search(r'": "(/|[A-Z]:\\\\)', path.read_text())] == []
