"""`smartca demo` and `smartca run`: the three processes, started and watched."""

from __future__ import annotations

import json
import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ..options import (
    FILE,
    PORT,
    apart,
    crop_option,
    display_option,
    finite,
    insecure_option,
    keep_screen_option,
    label_option,
    mask_value_option,
    model_arguments,
    model_options,
    one_of_both,
    say,
    spared,
    writable,
    write_report,
)
from .config import config_option

if TYPE_CHECKING:
    from ...engine import Engine
    from ...engine.operating_point import PointName
    from ...stream.run.run import Run

F = TypeVar("F", bound=Callable[..., object])
LOOP = 240  # frames of a phantom until its motion repeats


def _run_options(command: F) -> F:
    for option in (
        crop_option,
        display_option,
        click.option("--no-browser", is_flag=True, help="Serve the page, but do not open it."),
        click.option(
            "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port of the live page."
        ),
        click.option("--record", type=FILE, help="Record the overlays as mp4, masks and timings beside it."),
        click.option("--report", type=FILE, help="Write what was measured as JSON."),
        click.option("--headless", is_flag=True, help="No page: run, measure, end."),
        click.option(
            "--fps",
            type=click.FloatRange(0, 1000, min_open=True),
            callback=finite,
            help="Make any source a live one at this pace: the newest frame wins.",
        ),
        keep_screen_option,
        click.option("--frames", type=click.IntRange(1), help="Capture this many frames; a page stays until Ctrl-C."),
        insecure_option,
        model_options,
        config_option,
    ):
        command = option(command)
    return command


@click.command()
@click.option("--seed", type=click.IntRange(0), default=90001, show_default=True, help="Which simulated shoulder.")
@_run_options
@click.pass_obj
def demo(started_ns: int, seed: int, frames: int | None, headless: bool, **options: object) -> int:
    """Watch the engine outline a simulated torn tendon, live.

    The page opens at http://127.0.0.1:8765, and the shoulder moves at 30 frames/s until Ctrl-C. With
    --headless there is no page, and it ends after one loop of the probe's motion, or after --frames. The
    shoulder of another seed is drawn once, before the start.
    """
    if headless and not frames:
        frames = LOOP
    limit = f",frames={frames}" if frames else ""
    if not headless and not options.get("fps"):
        options["fps"] = 30.0  # for the eye: as fast as the engine goes would be slapstick
    source = f"phantom:seed={seed}{limit}"
    return _run(started_ns, source, _Wanted(frames=frames, headless=headless, **options))  # type: ignore[arg-type]


@click.command()
@click.argument("source")
@mask_value_option
@label_option
@_run_options
@click.pass_obj
def run(started_ns: int, source: str, **options: object) -> int:
    """Outline tears in SOURCE and show them live.

    \b
    SOURCE  clip.mp4          a video file: every frame, as fast as the engine goes
            pictures/         a folder of images
            camera:0          a camera or capture card: the newest frame wins (`smartca sources` lists them)
            rtsp://HOST/PATH  network video; also rtsps, http, https, udp, srt
            igtl://HOST       OpenIGTLink, of PLUS or 3D Slicer
            screen:TITLE      a window of this screen; or screen:x,y,width,height
            phantom:seed=7    the simulated shoulder
            NAME:REST         what an installed plugin makes of REST
    """
    return _run(started_ns, source, _Wanted(**options))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was typed after the source, and what of it each of the three processes is told."""

    frames: int | None
    fps: float | None
    headless: bool
    report: Path | None
    record: Path | None
    port: int
    no_browser: bool
    crop: str
    displays: tuple[str, ...]
    engine: Engine
    threshold: float | None
    point: PointName | None
    precision: str
    threads: int
    insecure: bool
    keep_screen: bool
    mask_value: int | None = None
    label: tuple[str, ...] = ()

    def check(self, source: str) -> None:
        """Find out before the work what could not be written or understood. Raises UsageError or InputError."""
        from ...pictures.sector import parse_crop

        one_of_both(self.threshold, self.point)
        writable(self.report, "--report")
        writable(self.record, "--record")
        apart(source, self.record, self.report)
        spared(self.report, "--report", self.engine, source)
        spared(self.record, "--record", self.engine)
        parse_crop(self.crop)

    def attach(self, source: str) -> list[str]:
        """The attach process' arguments."""
        words = [source, "--crop", self.crop, *(["--keep-screen"] if self.keep_screen else [])]
        words += ["--fps", str(self.fps)] if self.fps else []
        words += ["--mask-value", str(self.mask_value)] if self.mask_value else []
        words += [word for name in self.label for word in ("--label", name)]
        return words + (["--frames", str(self.frames)] if self.frames else [])

    def serve(self) -> list[str]:
        """The serve process' arguments."""
        words = model_arguments(self.engine, self.threshold, self.precision, self.threads, self.point)
        return [*words, *(["--insecure"] if self.insecure else [])]

    def view(self) -> list[str]:
        """The view process' arguments."""
        words = ["--headless"] if self.headless else ["--port", str(self.port), "--stay"]
        words += ["--insecure"] if self.insecure else []
        if self.record:
            asked = {"crop": self.crop, "threshold": self.threshold}
            words += ["--record", str(self.record.absolute()), "--asked", json.dumps(asked)]
        if self.report:
            words += ["--orphans-report", str(self.report.absolute())]
        return words + [word for spec in self.displays for word in ("--display", spec)]


def _run(started_ns: int, source: str, wanted: _Wanted) -> int:
    from ...stream.run.ending import private_folder
    from ...stream.run.run import Run, RunSettings
    from ...stream.sources import without_secrets
    from ..progress import Line

    wanted.check(source)
    settings = RunSettings(
        wanted.attach(source),
        wanted.serve(),
        wanted.view(),
        not wanted.headless,
        started_ns,
        wanted.record is not None,
    )
    told: list[str] = []
    with private_folder() as folder, Line(without_secrets(source)) as line:
        page = None if wanted.headless else f"http://127.0.0.1:{wanted.port}/"

        def prepare() -> None:
            line.begin()
            line.total = _look_at(source, wanted, line.prepare)

        def tell(live: Run) -> None:
            nonlocal page
            if page is not None and live.children["view"].ready:
                _open_page(page, wanted.no_browser)
                page = None
            line.tell(live)
            _tell(live.recordings.problems, told)

        live = Run(settings, folder)
        code = live.execute(prepare, tell)
    _tell([live.problem, *live.lapses, *([] if live.lapses else live.recordings.notes)], told)
    try:
        _close(live, code)
    finally:  # also if nobody listens any more (`| head`)
        if live.total().shown or code == 0:
            write_report(live.report(), wanted.report)
    failed = live.total().failed
    if failed:
        say(failed)
    if wanted.report is not None and (live.total().shown or code == 0):
        click.echo(f"report: {wanted.report}")
    return code or int(bool(failed))


def _look_at(source: str, wanted: _Wanted, progress: Callable[[int, int], None]) -> int | None:
    """Open the source here first: what is wrong with it is said once, and a phantom is drawn beforehand."""
    from ...stream.capture import check_sizes
    from ...stream.sources import is_live, open_source

    if is_live(source):
        return wanted.frames
    with open_source(source, progress, wanted.mask_value, wanted.label) as opened:
        check_sizes(opened)
        known = [number for number in (opened.count, wanted.frames) if number]
    return min(known, default=None)


def _open_page(url: str, no_browser: bool) -> None:
    say(f"the live page is at {url}  (Ctrl-C ends)")
    has_screen = sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if has_screen and not no_browser:
        # beside the supervision, which must not wait for a browser that is slow, or never returns
        threading.Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()


def _tell(sentences: list[str], told: list[str]) -> None:
    """Say each once."""
    for sentence in sentences:
        if sentence and sentence not in told:
            told.append(sentence)
            say(sentence)


def _close(live: Run, code: int) -> None:
    total = live.total()
    if not total.shown:
        if code == 0:
            say("no frame was shown")
        return
    latency = total.latency_ms()
    drops = ", ".join(f"{n} {cause}" for cause, n in total.dropped.items()) or "none"
    states = ", ".join(f"{n} {name.lower().replace('_', ' ')}" for name, n in total.states.items())
    films = live.recordings.films
    stale = total.absences.get("STALE", 0)
    click.echo(f"{total.shown} of {total.captured} frames shown; dropped: {drops}")
    if films:
        frames = sum(film.frames for film in films)
        click.echo(f"{frames} of {total.shown} frames recorded: {' and '.join(film.film for film in films)}")
    click.echo(f"{states}; {total.fps or 0} frames/s" + (f"; went stale {stale} time(s)" if stale else ""))
    own = str((live.engine or {}).get("model_sha256", ""))[:12]
    others = sum(count for digest, count in total.engines.items() if digest != own)
    if own and others:
        click.echo(f"{others} of them are unlike what these weights learnt, and were answered by the shipped network")
    click.echo(f"capture to overlay: p50 {latency['p50']} ms, p99 {latency['p99']} ms, max {latency['max']} ms")
    if total.counts is not None and total.counts.dice_pooled is not None:
        click.echo(f"pooled Dice against the known truth: {total.counts.dice_pooled:.3f}")
