"""The command line: reads well, lazily, and says one sentence when it cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from smartca import __version__
from smartca.cli import COMMANDS, main


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command in this process."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    return int(done.value.code or 0), out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, command, "--help")
    assert code == 0
    assert out.startswith("Usage:")
    assert "Options:" in out


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert "Not a medical device" in out
    assert __version__ in run(capfd, "--version")[1]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom smartca.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'numpy', 'cv2', 'zmq', 'openvino', 'av', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_an_unknown_command(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capfd, "dance")
    assert code == 2
    assert "No such command" in err


def test_training_without_torch_names_the_cure() -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom smartca.cli import main\n"
        "main(['train', 'segment', '--out', 'x', '--epochs', '1'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "smartca[train]" in done.stderr
    assert "Traceback" not in done.stderr


def test_evaluate_and_phantom(tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    data = "phantom:seeds=90001..90001,frames=2"
    code, out, _ = run(capfd, "evaluate", "--model", network, "--data", data, "--report", report)
    assert code == 0
    assert "pooled Dice" in out
    found = json.loads(report.read_text())
    assert found["data"] == data
    assert found["versions"]["smartca"] == __version__
    code, _, err = run(capfd, "phantom", "--seed", 4, "--frames", 2, "--out", tmp_path / "p")
    assert code == 0
    assert "bursal" in err
    assert len(list((tmp_path / "p" / "masks").iterdir())) == 2
    assert run(capfd, "phantom", "--seed", 4, "--frames", 2, "--out", tmp_path / "p.mp4")[0] == 0
    assert (tmp_path / "p.mp4").stat().st_size > 1000


LONG = "n" * 260


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "phantom", "--headless", "--report", "PLACE.json"],
        ["run", "phantom", "--headless", "--record", "PLACE.mp4"],
        ["demo", "--headless", "--report", "PLACE.json"],
        ["view", "--headless", "--report", "PLACE.json"],
        ["view", "--headless", "--record", "PLACE.mp4"],
        ["evaluate", "--data", "phantom:seeds=1..2", "--report", "PLACE.json"],
        ["bench", "--report", "PLACE.json"],
        ["doctor", "--report", "PLACE.json"],
        ["calibrate", "--model", "m.onnx", "--diagram", "PLACE.png"],
        ["calibrate", "report", "--calibrate", "phantom", "-o", "PLACE.html"],
        ["build", "--backend", "openvino", "--precision", "fp32", "-o", "PLACE.onnx"],
        ["phantom", "--out", "PLACE"],
        ["phantom", "--out", "PLACE.mp4"],
        ["train", "segment", "--out", "PLACE"],
        ["train", "classify", "--out", "PLACE"],
        ["export", "--checkpoint", "c.pt", "--out", "PLACE.onnx"],
        ["study", "study.toml", "--out", "PLACE"],
        ["adapt", "labelled", "--out", "PLACE"],
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A name that is too long, and a place inside a file: both look well until they are tried."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("of somebody")
    for place in ("file/in", LONG):
        code, _, err = run(capfd, *(word.replace("PLACE", place) for word in arguments))
        assert code == 2, err
        assert re.search("writ|no folder|too long|Not a directory", err), err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "of somebody"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "--data", "nowhere"], "no file or folder"),
        (["evaluate", "--data", "phantom:seeds=1..2", "--report", "no/such/r.json"], "no folder"),
        (["bench", "missing.onnx"], "no model at"),
        (["phantom", "--out", "no/such/p.mp4"], "no folder"),
        (["serve", "--bind", "tcp://192.0.2.1:5555"], "cannot listen"),
        (["attach", "phantom:frames=1", "--to", "tcp://192.0.2.1:5556"], "smartca keys pair 192.0.2.1 CODE"),
        (["view", "--from", "tcp://192.0.2.1:5556", "--headless"], "smartca keys pair 192.0.2.1 CODE"),
        (["keys", "pair", "192.0.2.1"], "code"),
        (["keys", "pair", "192.0.2.1", "12"], "6 digits"),
        (["keys", "authorize", "or-1", "short"], "no public key"),
        (["keys", "revoke", "nobody"], "smartca keys list"),
        (["attach", "missing.mp4"], "missing.mp4"),
        (
            ["serve", "--model", "missing.onnx", "--bind", "ipc:///tmp/a", "--publish", "ipc:///no/such"],
            "listen",
        ),
    ],
)
def test_one_sentence(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smartca", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    """OpenVINO would send a usage event on import and keep a client id in the home folder."""
    code = (
        "import sys, smartca.engine.cpu.openvino_runner\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
    )
    home = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, env=home)
    assert not (tmp_path / "intel").exists()


@pytest.mark.parametrize("by", ["engine", "calibration"])
def test_onnxruntime_reports_nothing_either(by: str, tmp_path: Path, network: Path) -> None:
    """It would look up a server on import, and keep a device id and its events in the cache folder."""
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is absent")
    used = {
        "engine": "from smartca.engine.cpu.onnxruntime_runner import OnnxRuntimeRunner as R; "
        f"R(Path({str(network)!r})).close()",
        "calibration": "from smartca.calibration.int8.network import WatchedNetwork; "
        f"WatchedNetwork(onnx.load({str(network)!r}))",
    }
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "LOCALAPPDATA": home}
    told = {**os.environ, **{name: str(place) for name, place in places.items()}}
    told.pop("ORT_DISABLE_TELEMETRY", None)  # this process has it, from the package under test
    code = f"import onnx\nfrom pathlib import Path\n{used[by]}"
    subprocess.run([sys.executable, "-c", code], check=True, env=told)
    assert [path.name for path in home.rglob("*") if "Microsoft" in path.parts or "onnxruntime" in path.name] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--record", "one.mp4"], "written over"),
        (["--report", "one.mp4"], "written over"),
        (["--record", "o.mp4", "--report", "o.mp4"], "written over"),
        (["--record", "o.mp4", "--report", "o.frames.jsonl"], "written over"),
        (["--record", "o.avi"], "does not end in .mp4"),
        (["--fps", "nan"], "nan"),
        (["--threshold", "nan"], "nan"),
        (["--crop", "1,2,3"], "not understood"),
    ],
)
def test_results_never_take_the_place_of_the_source(options: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "one.mp4").write_bytes(b"precious")
    done = subprocess.run(
        [sys.executable, "-m", "smartca", "run", "one.mp4", "--headless", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert (tmp_path / "one.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["mine.json", "mine.onnx", "mine-int8.onnx", "mine.onnx.json", "exam.dcm"])
def test_a_report_never_takes_the_place_of_what_it_is_of(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for kept in ("mine.json", "mine.onnx", "mine-int8.onnx", "mine.onnx.json", "exam.dcm"):
        (tmp_path / kept).write_bytes(b"dear to somebody")
    for command in (["evaluate", "--data"], ["run", "--headless"]):
        source, model, report = tmp_path / "exam.dcm", tmp_path / "mine.onnx", tmp_path / name
        code, _, err = run(capfd, *command, source, "--model", model, "--report", report)
        assert code == 2 and ("belongs to" in err or "written over" in err)
    assert (tmp_path / name).read_bytes() == b"dear to somebody"


def test_a_log_goes_behind_nothing_but_a_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table, log = tmp_path / "split.csv", tmp_path / "a.log"
    table.write_text("file,split\n")
    for place, code in ((table, 2), (log, 0), (log, 0)):
        with pytest.raises(SystemExit) as done:
            main(["--log-file", str(place), "phantom", "--frames", "1", "--out", str(tmp_path / "p")])
        assert done.value.code == code
        assert ("is no log of smartca" in capfd.readouterr().err) == (code == 2)
    assert table.read_text() == "file,split\n"
