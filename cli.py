"""The `smartca` command: the only place that sees every room, and imports each only when it is needed."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Sequence
from importlib import import_module

import click

from .version import __version__

# command -> (module that defines it, one line of help): `smartca --help` imports none of them
COMMANDS = {
    "demo": ("commands.live", "Watch the engine outline a simulated torn tendon, live."),
    "run": ("commands.live", "Outline tears in a video, a folder, a camera or a phantom, live."),
    "attach": ("commands.processes", "Send a feed to an engine (one of three processes)."),
    "serve": ("commands.processes", "Run the engine between feeds and viewers (one of three processes)."),
    "view": ("commands.processes", "Show an engine's overlays (one of three processes)."),
    "evaluate": ("commands.evaluate", "Score a model on data whose truth is known."),
    "bench": ("commands.bench", "Compare every engine and precision that runs here on one model."),
    "phantom": ("commands.phantom", "Write simulated ultrasound with exact tear masks."),
    "train": ("commands.train", "Train SMART-CA on phantoms or on your own masks."),
    "export": ("commands.train", "Turn a checkpoint into an ONNX model, and prove it is the same."),
    "calibrate": ("commands.calibrate", "Find a model's threshold and fit its confidence; report on INT8."),
    "study": ("commands.study", "Compare networks and losses, one training a cell, in one table."),
    "build": ("commands.build", "Turn a model into the fastest engine for this machine or for other GPUs."),
    "doctor": ("commands.doctor", "Say what is here, what is missing, and the command that brings it."),
}

ELSEWHERE = "or write to another disk (the engines' cache and the temporary folder, TMPDIR, need room too)"
# errors of the operating system that name no file, and no cure
FULL = {
    errno.ENOSPC: f"free some space, {ELSEWHERE}",
    getattr(errno, "EDQUOT", errno.ENOSPC): f"free some space, {ELSEWHERE}",
    errno.EFBIG: f"allow larger files (`ulimit -f unlimited`), {ELSEWHERE}",
}


class Lazy(click.Group):
    """Knows every command's name and purpose; imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f".{COMMANDS[cmd_name][0]}", __package__), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Research software. Not a medical device. Not for diagnosis or treatment decisions.",
)
@click.version_option(__version__, prog_name="smartca")
def root() -> None:
    """Live rotator-cuff-tear outlines on any ultrasound feed.

    \b
    Begin with   smartca demo
    then try     smartca run your-clip.mp4
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; whatever goes wrong is said in one sentence, and the exit code is not 0."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    # the user's wait began with the process, not with this line
    started_ns = time.monotonic_ns() - time.process_time_ns()
    given = None if arguments is None else list(arguments)
    try:
        code = root.main(given, standalone_mode=False, obj=started_ns)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("stopped", err=True)
        code = 130
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        click.echo(f"smartca: {sentence(error)}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def sentence(error: BaseException) -> str:
    """What to tell a person about `error`."""
    if isinstance(error, OSError) and error.errno in FULL:
        what = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
        return f"{what} ({error.strerror}): {FULL[error.errno]}, then give the same command again"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
