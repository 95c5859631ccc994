"""A full disk: one sentence with the cure, the old file untouched, and nothing left beside it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from smartca.cli import sentence
from smartca.files import write_whole

resource = pytest.importorskip("resource", reason="files cannot be limited in size here")
# as on a disk that has room for 100 bytes
FULL = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
COMMAND = "from smartca.cli import main\nmain({arguments!r})\n"
POINT = (
    "from pathlib import Path\nfrom smartca.engine.operating_point import OperatingPoint, save_point\n"
    "save_point(OperatingPoint(), Path('mine.onnx'))\n"
)
DIAGRAM = (
    "import numpy as np\nfrom pathlib import Path\nfrom smartca.calibration.confidence import Platt, plot_reliability\n"
    "from smartca.scores.histograms import Histograms\n"
    "counts = Histograms()\ncounts.add(np.linspace(0, 1, 999), np.arange(999) > 500)\n"
    "plot_reliability(counts, Platt(1, 0), Path('d.png'))\n"
)


def on_a_full_disk(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code there, of which any exception is said as the command would say it."""
    heavy = "import matplotlib.font_manager\n" if code is DIAGRAM else ""  # which writes a cache of its own
    said = "".join(f"    {line}\n" for line in (FULL + code).splitlines())
    caught = "except Exception as error:\n    from smartca.cli import sentence\n    raise SystemExit(sentence(error))\n"
    return subprocess.run(
        [sys.executable, "-c", f"{heavy}try:\n{said}{caught}"], capture_output=True, text=True, cwd=folder
    )


@pytest.mark.parametrize(("code", "name"), [(POINT, "mine.json"), (DIAGRAM, "d.png")], ids=["point", "diagram"])
def test_what_does_not_fit_is_not_written(code: str, name: str, tmp_path: Path) -> None:
    if code is DIAGRAM:
        pytest.importorskip("matplotlib", reason="the package matplotlib is absent")
        pytest.importorskip("torch", reason="the package torch is absent")
    (tmp_path / name).write_bytes(b"the one before")
    done = on_a_full_disk(code, tmp_path)
    assert f"{name} cannot be written (File too large): allow larger files (`ulimit -f unlimited`)" in done.stderr
    assert done.stderr.count("\n") == 1 and done.returncode == 1
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"the one before")]


def test_an_engine_that_does_not_fit(tmp_path: Path, network: Path) -> None:
    build = ["build", str(network), "--backend", "openvino", "--precision", "fp32", "-o", "mine.onnx"]
    before = {path.name for path in tmp_path.iterdir()}
    code = f"import os\nos.environ['XDG_CACHE_HOME'] = {str(tmp_path / 'cache')!r}\n" + COMMAND.format(arguments=build)
    done = on_a_full_disk(code, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"smartca: {tmp_path / 'cache'}") and "(File too large): allow larger" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} - before == {"cache"}
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []


def test_a_full_disk_without_a_name() -> None:
    told = sentence(OSError(errno.ENOSPC, "No space left on device"))
    assert told.startswith("a file cannot be written (No space left on device): free some space, or write to another")
    assert "x.onnx cannot be written" in sentence(OSError(errno.ENOSPC, "No space left on device", "x.onnx"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    with pytest.raises(OSError) as error:
        write_whole(tmp_path / "taken", b"bytes")
    assert error.value.filename == str(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    write_whole(tmp_path / "free", b"bytes")
    assert (tmp_path / "free").read_bytes() == b"bytes"


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    old, new = (tmp_path / f".x.{name}.partial" for name in ("old", "new"))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    write_whole(tmp_path / "x", b"bytes")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.new.partial", "x"]
