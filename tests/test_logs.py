"""The log: whole lines, the fields that an engineer needs, and never what belongs to a patient."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from smartca import logs
from smartca.errors import FileError
from smartca.logs import LogSettings

log = logging.getLogger("smartca.stream.somewhere")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Bugs are written down here, and the log ends with the test."""
    monkeypatch.setattr("platformdirs.user_log_dir", lambda name: str(tmp_path / "home" / name))
    monkeypatch.delenv("SMARTCA_DEBUG", raising=False)
    yield tmp_path / "home" / "smartca"
    logs.stop()


def a_bug() -> KeyError:
    """One that was raised."""
    try:
        {}["nothing"]
    except KeyError as error:
        return error
    raise AssertionError


def test_a_line_of_json_holds_its_fields(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    logs.start(LogSettings(file=str(file), as_json=True), "serve")
    log.info("a feed came", extra={"epoch": 7, "feeds": 1, "level": "mine"})
    log.debug("not asked for")
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(told) == 1
    assert told[0].pop("time").endswith("Z") and told[0].pop("pid") > 0
    assert told[0] == {
        "level": "INFO",
        "logger": log.name,
        "process": "serve",
        "message": "a feed came",
        "epoch": 7,
        "feeds": 1,
    }


def test_the_time_is_utc(tmp_path: Path) -> None:
    logs.start(LogSettings(file=str(tmp_path / "a.log"), as_json=True), "")
    log.info("x")
    told = json.loads((tmp_path / "a.log").read_text())["time"]
    passed = datetime.now().astimezone() - datetime.fromisoformat(told.replace("Z", "+00:00"))
    assert 0 <= passed.total_seconds() + 0.001 < 60


@pytest.mark.parametrize("verbose", range(3))
def test_how_much_is_said(verbose: int, capsys: pytest.CaptureFixture[str]) -> None:
    logs.start(LogSettings(verbose), "run")
    for level in ("warning", "info", "debug"):
        getattr(log, level)("at %s", level)
        getattr(logging.getLogger("a.library"), level)("theirs")
    said = capsys.readouterr().err.splitlines()
    assert [line.split("at ")[1] for line in said if "at " in line] == ["warning", "info", "debug"][: verbose + 1]
    assert [line for line in said if "theirs" in line] == ["WARNING: theirs"]


def test_what_a_peer_sends_makes_no_second_line(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    logs.start(LogSettings(file=str(file)), "serve")
    log.info("a feed came", extra={"source": "evil\n2026-01-01 CRITICAL forged\x1b[2J"})
    assert len(file.read_text().splitlines()) == 1
    assert "\x1b" not in file.read_text()


def test_a_log_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileError, match="--log-file"):
        logs.start(LogSettings(file=str(tmp_path)), "run")
    logs.start(LogSettings(file="/dev/full"), "run")
    for number in range(3):
        log.info("%d", number)
    assert capsys.readouterr().err.count("can no longer be written") == 1


def test_a_bug_is_told_and_its_traceback_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.start(LogSettings(), "view")
    logs.tell_bug(a_bug())
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "bug in smartca" in said and "KeyError" in said and str(home / "smartca.log") in said
    kept = (home / "smartca.log").read_text()
    assert "view[" in kept and "Traceback" in kept and '{}["nothing"]' in kept


def test_a_bug_is_shown_to_whoever_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.start(LogSettings(), "view")
    monkeypatch.setenv("SMARTCA_DEBUG", "1")  # read now, not at the start
    logs.tell_bug(a_bug())
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_goes_to_the_log_that_was_asked_for(tmp_path: Path, home: Path) -> None:
    logs.start(LogSettings(file=str(tmp_path / "a.log"), as_json=True), "serve")
    logs.tell_bug(a_bug())
    told = json.loads((tmp_path / "a.log").read_text())
    assert told["level"] == "CRITICAL" and "KeyError" in told["traceback"]
    assert not home.exists()


def test_a_traceback_is_never_lost(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.parent.write_text("a file where the folder should be")
    logs.start(LogSettings(), "serve")
    logs.tell_bug(a_bug())
    said = capsys.readouterr().err
    assert "Traceback" in said and "no log could be written" in said


def test_the_file_for_bugs_stays_small(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 2000)
    for _ in range(60):
        logs.tell_bug(a_bug())
    kept = list(home.iterdir())
    assert len(kept) == 1 + logs.OLDER_FILES
    assert sum(file.stat().st_size for file in kept) < 4 * 2000 + 2000


WRITER = """
import logging, sys
from smartca import logs
logs.start(logs.LogSettings(file=sys.argv[1]), sys.argv[2])
for number in range(300):
    logging.getLogger("smartca.x").info("%d of %s %s", number, sys.argv[2], "long " * 4000, extra={"end": "END"})
"""


def test_one_file_from_three_processes_has_only_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), name]) for name in ("one", "two", "three")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = file.read_text().splitlines()
    assert len(lines) == 900
    assert all(line.startswith("20") and line.endswith("(end=END)") and line.count(" INFO ") == 1 for line in lines)


def test_the_options_are_handed_on(tmp_path: Path) -> None:
    assert LogSettings(2, "a.log", True).arguments() == ["--verbose", "--verbose", "--log-file", "a.log", "--log-json"]
    assert LogSettings().arguments() == []
