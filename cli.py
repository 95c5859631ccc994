"""The `smartca` command: the only place that sees every room, and imports each only when it is needed."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module

import click

from . import logs
from .errors import mendable, sentence
from .version import __version__

log = logging.getLogger(__name__)
BREAK: int | None = getattr(signal, "SIGURG", None)  # for Ctrl-C where that is ignored, as in a shell's background

# command -> (module that defines it, one line of help): `smartca --help` imports none of them
COMMANDS = {
    "demo": ("commands.streaming.live", "Watch the engine outline a simulated torn tendon, live."),
    "run": ("commands.streaming.live", "Outline tears in a video, a folder, a camera or a phantom, live."),
    "attach": ("commands.streaming.processes", "Send a feed to an engine (one of three processes)."),
    "serve": ("commands.streaming.processes", "Run the engine between feeds and viewers (one of three processes)."),
    "view": ("commands.streaming.processes", "Show an engine's overlays (one of three processes)."),
    "keys": ("commands.streaming.keys", "Let other machines in: encrypted, and only those you know."),
    "config": ("commands.streaming.config", "Print the options of a live command as a TOML file."),
    "sources": ("commands.streaming.sources", "List what can be attached, and the cameras that are plugged in."),
    "evaluate": ("commands.evaluate", "Score a model on data whose truth is known."),
    "bench": ("commands.bench", "Compare every engine and precision that runs here on one model."),
    "phantom": ("commands.phantom", "Write simulated ultrasound with exact tear masks."),
    "train": ("commands.train", "Train SMART-CA on phantoms or on your own masks."),
    "adapt": ("commands.adapt", "Make the network your own with ten labelled frames."),
    "export": ("commands.train", "Turn a checkpoint into an ONNX model, and prove it is the same."),
    "adopt": ("commands.adopt", "Take anybody's segmentation network (ONNX) as a model."),
    "calibrate": ("commands.calibrate", "Find a model's threshold and fit its confidence; report on INT8."),
    "study": ("commands.study", "Compare networks and losses, one training a cell, in one table."),
    "build": ("commands.build", "Turn a model into the fastest engine for this machine or for other GPUs."),
    "doctor": ("commands.doctor", "Say what is here, what is missing, and the command that brings it."),
}


class Lazy(click.Group):
    """Knows every command's name and purpose; imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; it takes the options of the log too, as people type them there."""
        if cmd_name not in COMMANDS:
            return None
        # numpy's algebra is nowhere what takes time, and a process with its threads could not be copied
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        command: click.Command = getattr(import_module(f".{COMMANDS[cmd_name][0]}", __package__), cmd_name)
        _take_log_options(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])


def _take_log_options(command: click.Command) -> None:
    if LOG_OPTIONS[0] not in command.params:
        command.params += LOG_OPTIONS
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _take_log_options(inner)


def _logged(context: click.Context, option: click.Parameter, value: int | str | bool | None) -> None:
    """Log as an option says from now on; what others said before it still holds."""
    if not value:
        return
    known = logs.settings()
    if option.name == "verbose":
        known = replace(known, verbose=known.verbose + int(value))
    elif option.name == "log_file":
        known = replace(known, file=str(value))
    else:
        known = replace(known, as_json=True)
    logs.start(known, _role(context))


def _role(context: click.Context) -> str:
    """The command right behind `smartca`; '' before it is known."""
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return "" if context.parent is None else context.info_name or ""


LOG_OPTIONS: list[click.Parameter] = [
    click.Option(
        ["-v", "--verbose"],
        count=True,
        callback=_logged,
        expose_value=False,
        help="Print more messages; -vv prints even more.",
    ),
    click.Option(
        ["--log-file"],
        type=click.Path(dir_okay=False, resolve_path=True),
        callback=_logged,
        expose_value=False,
        metavar="FILE",
        help="Also append the log to FILE.",
    ),
    click.Option(
        ["--log-json"],
        is_flag=True,
        callback=_logged,
        expose_value=False,
        help="Write the log as JSON, one object per line.",
    ),
]


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Research software. Not a medical device. Not for diagnosis or treatment decisions.",
)
@click.version_option(__version__, prog_name="smartca")
@click.pass_context
def root(context: click.Context) -> None:
    """Live rotator-cuff-tear outlines on any ultrasound feed.

    \b
    Begin with   smartca demo
    then try     smartca run your-clip.mp4
    """
    logs.start(logs.settings(), context.invoked_subcommand or "")


root.params += LOG_OPTIONS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; whatever goes wrong is said in one sentence, and the exit code is not 0.

    It is 2 where a person can mend it, and `logs.BUG` where only we can.
    """
    # the user's wait began with the process, not with this line
    started_ns = time.monotonic_ns() - time.process_time_ns()
    given = None if arguments is None else list(arguments)
    bugs: list[BaseException] = []
    logs.start(logs.LogSettings(), "")
    try:
        with _threads_watched(bugs):
            code = _code(given, started_ns)
        code = logs.BUG if bugs else code
        log.info("the command ended", extra={"code": code})
    except KeyboardInterrupt:  # once the command itself was over
        code = logs.BUG if bugs else 130
    finally:
        logs.stop()
    sys.exit(code)


def _code(given: list[str] | None, started_ns: int) -> int:
    """The exit code of one command."""
    try:
        code = root.main(given, standalone_mode=False, obj=started_ns)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        if isinstance(error.__cause__, EOFError):  # click takes it for a terminal's end
            logs.tell_bug(error.__cause__)
            return logs.BUG
        click.echo("stopped", err=True)
        return 130
    except Exception as error:  # the last who can tell of it
        if not mendable(error):
            logs.tell_bug(error)
            return logs.BUG
        click.echo(f"smartca: {sentence(error)}", err=True)
        log.info("the command cannot go on", extra={"why": type(error).__name__})  # its sentence may name a patient
        return 2


@contextmanager
def _threads_watched(bugs: list[BaseException]) -> Iterator[None]:
    """A thread that dies of a bug of ours ends the command, in good order; `bugs` gets the bug."""
    before = threading.excepthook

    def died(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is None:
            return
        if not logs.ours(ended.exc_value):
            log.warning("a thread of a library ended", exc_info=ended.exc_value)
            return
        logs.tell_bug(ended.exc_value)
        bugs.append(ended.exc_value)
        _interrupt()

    threading.excepthook = died
    usual = signal.signal(BREAK, signal.default_int_handler) if BREAK and _on_main_thread() else None
    try:
        yield
    finally:
        threading.excepthook = before
        if BREAK and usual is not None:
            signal.signal(BREAK, usual)


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _interrupt() -> None:
    """Ctrl-C for the main thread, also where it waits."""
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.pthread_kill(main_thread, BREAK if BREAK and ignored else signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
