"""Options from a file: all of them, typed ones win, and what is wrong is named with the file's name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def smartca(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smartca", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


@pytest.fixture
def file(tmp_path: Path, network: Path) -> Path:
    text = f"""
        [run]
        source = "phantom:seed=90001,frames=6"
        headless = true
        engine = "{network}"
        threshold = 0.4
        report = "from_file.json"
        [serve]
        threads = 1
    """
    path = tmp_path / "or.toml"
    path.write_text(text)
    return path


def test_a_run_takes_its_options_and_its_source_from_the_file(tmp_path: Path, file: Path) -> None:
    done = smartca(tmp_path, "run", "--config", file)
    assert done.returncode == 0, done.stderr
    assert "6 of 6 frames shown" in done.stdout and (tmp_path / "from_file.json").exists()


def test_what_is_typed_wins(tmp_path: Path, file: Path) -> None:
    done = smartca(tmp_path, "run", "phantom:seed=90001,frames=3", "--report", "typed.json", "--config", file)
    assert "3 of 3 frames shown" in done.stdout, done.stderr
    assert (tmp_path / "typed.json").exists() and not (tmp_path / "from_file.json").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[rum]\n", r"[rum] is not known; is [run] meant?"),
        ("fps = 3\n", "fps stands in no table; write it below [run]"),
        ("[run]\nfpss = 3\n", "fpss is not known; is fps meant?"),
        ("[run]\nfps = 'quick'\n", "fps = 'quick'"),
        ("[run]\nfps = [1, 2]\n", "is not one value"),
        ("[run]\nheadless = 'yes'\n", "is not true or false"),
        ("[run]\ndisplay = [true]\n", "is not one value, or a list of them"),
        ("[run]\npoint = 'bold'\n", "point = 'bold'"),
        ("[run]\nframes = {a = 1}\n", "neither text nor a number"),
        ("[run]\nreport = 5\n", "report = 5 is no text; write it in quotes"),
        ("[run]\nengine = [5]\n", "is no text; write it in quotes"),
        ("[run]\npulse = 'x'\n", "pulse is not known"),
        ("[run\n", "no TOML file"),
        ("\x00", "no TOML file"),
        ("x = " + "[" * 5000, "no TOML file"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "or.toml").write_text(text)
    done = smartca(tmp_path, "run", "--config", "or.toml", "missing.mp4")
    assert done.returncode == 2
    assert says in done.stderr and "or.toml" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    done = smartca(tmp_path, "serve", "--config", "none.toml")
    assert done.returncode == 2 and "none.toml cannot be read" in done.stderr


@pytest.mark.parametrize("command", ["run", "demo", "attach", "serve", "view"])
def test_what_is_shown_can_be_given(tmp_path: Path, command: str) -> None:
    shown = smartca(tmp_path, "config", "show", command)
    assert shown.returncode == 0 and f"[{command}]" in shown.stdout
    (tmp_path / "shown.toml").write_text(shown.stdout)
    again = smartca(tmp_path, "config", "show", command, "--config", "shown.toml")
    assert again.returncode == 0, again.stderr
    assert [line.split("  #")[0] for line in again.stdout.splitlines()] == [
        line.split("  #")[0] for line in shown.stdout.splitlines()
    ]


def test_where_a_value_comes_from_is_shown(tmp_path: Path, file: Path) -> None:
    lines = smartca(tmp_path, "config", "show", "--config", file).stdout.splitlines()
    assert any(line.startswith("threshold = ") and "# or.toml" in line for line in lines)
    assert any(line.startswith("port = 8765") and "# as usual" in line for line in lines)
