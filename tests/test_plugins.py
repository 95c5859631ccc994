"""Plugins: a package that is really there is used through the command line; what is wrong with one is a sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from smartca import plugins
from smartca.errors import InputError, RunError
from support.labelled_forms import command
from support.plugin_package import ENTRIES, install


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a package of plugins."""
    (tmp_path / "site").mkdir()
    return install(tmp_path / "site")


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same package in this process."""
    (tmp_path / "site").mkdir()
    install(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")


def smartca(env: dict[str, str], *words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    command = [sys.executable, "-m", "smartca", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=240)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_source_engine_and_display_of_a_package_run(env: dict[str, str], tmp_path: Path) -> None:
    log, other, report = tmp_path / "log.txt", tmp_path / "other.txt", tmp_path / "r.json"
    displays = ("--display", f"log:{log}", "--display", f"log:{other}")
    done = smartca(env, "run", "bars:5", "--headless", "--engine", "bright:0.5", *displays, "--report", report)
    assert done.returncode == 0, done.stderr
    *lines, last = log.read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert last == "closed" and other.read_text() == log.read_text()
    assert [line["seq"] for line in told] == [0, 1, 2, 3, 4]
    assert all(line["state"] == "tear outlined" and 1100 < line["area"] < 1300 for line in told)  # of 30 x 40 pixels
    assert json.loads(report.read_text())["engine"]["backend"] == "bright"


def test_a_network_and_a_loss_of_a_package_are_trained_exported_and_run(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="torch comes with the extra 'train'")
    here = command(capfd)
    few = ["--seeds", 2, "--validation-seeds", 3, "--frames", 1, "--batch", 2, "--steps", 2, "--size", 64]
    names = ["--network", "own-net", "--loss", "own-loss", "--cache", tmp_path / "cache", "--threads", 1]
    model = tmp_path / "own.onnx"
    export = ("export", "--checkpoint", tmp_path / "out" / "best.pt", "--out", model)
    with monkeypatch.context() as installed:
        installed.syspath_prepend(tmp_path / "site")
        code, told = here("train", "segment", "--out", tmp_path / "out", *names, *few)
        assert code == 0, told
        code, told = here(*export)
        assert code == 0, told
    done = smartca(env, "evaluate", "--model", model, "--data", "phantom:seeds=90001..90001,frames=1")
    assert done.returncode == 0, done.stderr
    model.unlink()
    code, told = here(*export)
    assert code == 2 and not model.exists()
    assert "'own-net' is no network" in told and "installed plugins: none" in told


def test_a_study_takes_them_too(found: None) -> None:
    pytest.importorskip("torch", reason="torch comes with the extra 'train'")
    from smartca.train.study.plan import Compare, Phantoms, StudyData, StudyPlan
    from smartca.train.study.run import check_names

    data = (StudyData("shoulders", phantom=Phantoms(2, 1, 1)),)
    own = Compare(("own-net",), ("own-loss",))
    plan = StudyPlan("s", 64, 2, 2, (1,), data, (own,), reference="own-net/own-loss")
    check_names(plan)
    with pytest.raises(ValueError, match=r"'own-nett' is no network.*known are smartca.*plugins: own-net$"):
        StudyPlan("s", 64, 2, 2, (1,), data, (Compare(("own-nett",), ("own-loss",)),), reference="own-nett/own-loss")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "bras:5", "--headless"], r"no source called 'bras'; give a video.*installed plugins: bars, breaks"),
        (["run", "broken:x", "--headless"], r"plugin 'broken' \(smartca.sources\) failed: LookupError: nothing to see"),
        (["run", "lost:x", "--headless"], r"plugin 'lost' .* of own-parts 1\.2 cannot be imported.*own_nothing"),
        (["run", "bars:x", "--headless"], r"plugin 'bars' .* failed: ValueError: invalid literal"),
        (
            ["run", "bars:2", "--headless", "--display", "lgo:x"],
            r"'lgo:x' is no display.*installed plugins: fails, log",
        ),
        (["run", "bars:2", "--headless", "--display", "log:no/such/file"], r"no/such/file"),
        (
            ["run", "bars:2", "--headless", "--engine", "brihgt:1"],
            r"no engine called 'brihgt'.*plugins: bright, hollow",
        ),
        (
            ["run", "bars:2", "--headless", "--engine", "hollow:1"],
            r"hollow:1 gave a Bars, which is no runner: it lacks info",
        ),
        (["run", "bars:2", "--headless", "--engine", "bright:1", "--precision", "int8"], "bright:1 computes in fp32"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: list[str], says: str, env: dict[str, str], tmp_path: Path) -> None:
    done = smartca(env, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr


def test_a_source_that_breaks_ends_the_feed_with_its_reason(env: dict[str, str]) -> None:
    done = smartca(env, "run", "breaks:", "--headless", "--engine", "bright:0.5")
    assert done.returncode == 1
    assert "the source breaks failed (KeyError: 'third')" in done.stderr
    assert "2 of 2 frames shown" in done.stdout


def test_a_display_that_fails_is_told_of_and_the_view_goes_on(env: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    displays = ("--display", "fails:", "--display", f"log:{log}")
    done = smartca(env, "run", "bars:4", "--headless", "--engine", "bright:0.5", *displays)
    assert "the display fails: failed (TypeError: no screen); the view goes on without it" in done.stderr
    assert "4 of 4 frames shown" in done.stdout and len(log.read_text().splitlines()) == 5


def test_built_in_names_stay_what_they_are(found: None) -> None:
    from smartca.stream.sources import open_source
    from smartca.stream.sources.phantom import PhantomSource

    assert "phantom" in plugins.names("smartca.sources")
    with open_source("phantom:frames=1") as source:
        assert isinstance(source, PhantomSource)


def test_two_packages_that_claim_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        install(tmp_path / name, name, ENTRIES.replace("own_parts:Bars", f"own_parts_{name}:Bars"))
        monkeypatch.syspath_prepend(tmp_path / name)
    with pytest.raises(InputError, match=r"two plugins are called 'bars' .* of one 1\.2 and two 1\.2; uninstall one"):
        plugins.maker_of("smartca.sources", "bars")


def test_one_package_seen_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        install(tmp_path / place)
        monkeypatch.syspath_prepend(tmp_path / place)
    assert plugins.maker_of("smartca.displays", "log") is not None


def test_what_is_registered_here_counts_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from smartca.stream.sources import open_source

    monkeypatch.setattr(plugins, "_here", {})
    plugins.register("smartca.sources", "nothing", lambda rest: rest)
    assert "nothing" in plugins.told("smartca.sources")
    with pytest.raises(RunError, match=r"the plugin 'nothing' gave a str, which is no smartca\.Source"):
        open_source("nothing:at all")


@pytest.mark.parametrize(
    ("spec", "named"),
    [("bars:5", ("bars", "5")), ("rtsp://host/x", ("rtsp", "//host/x")), ("C:/clip.mp4", None), ("clip.mp4", None)],
)
def test_what_is_a_name(spec: str, named: tuple[str, str] | None) -> None:
    assert plugins.name_and_rest(spec) == named


def test_no_package_is_looked_for_before_a_name_is_unknown(network: Path) -> None:
    code = (
        "import importlib.metadata as m\n"
        "def never(**_): raise AssertionError('looked for plugins')\n"
        "m.entry_points = never\n"
        "import smartca\n"
        f"smartca.open_segmenter({str(network)!r}).close()\n"
        "smartca.open_source('phantom:frames=1').close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
