"""`--config FILE`: the options of the live commands from a TOML file; what is typed on the command line wins.

    [run]                       # a table for each command: run, demo, attach, serve, view
    source = "camera:0"
    point = "careful"
    record = "today.mp4"

The keys are the long options without their dashes. What no command knows, and what has the wrong type, is refused.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ...errors import FileError, InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

F = TypeVar("F", bound=Callable[..., object])
COMMANDS = ("run", "demo", "attach", "serve", "view")
_LARGEST = 1 << 20  # bytes
_CONFIG = "config"
_NUMBERS = (click.IntRange, click.FloatRange, type(click.INT), type(click.FLOAT))


def config_option(command: F) -> F:
    """--config, read before all other options."""
    return click.option(
        f"--{_CONFIG}",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_take,
        metavar="FILE",
        help="Take options from this TOML file; what is typed wins. `smartca config show` prints one.",
    )(command)


def _take(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    if path is not None:
        context.default_map = options_in(path, context.command, context)


def options_in(path: Path, command: click.Command, context: click.Context) -> dict[str, Any]:
    """parameter -> value for `command`, from its table in the file. Raises InputError or FileError."""
    tables = _read(path)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{path}: {name} stands in no table; write it below [{command.name}]")
        if name not in COMMANDS:
            raise InputError(f"{path}: {_unknown(f'[{name}]', [f'[{known}]' for known in COMMANDS])}")
    known = parameters(command)
    values: dict[str, Any] = {}
    for key, value in tables.get(command.name or "", {}).items():
        parameter = known.get(key.replace("_", "-"))
        if parameter is None or parameter.name is None:
            raise InputError(f"{path}, [{command.name}]: {_unknown(key, list(known))}")
        values[parameter.name] = _checked(f"{path}, [{command.name}]", key, value, parameter, context)
    return values


def parameters(command: click.Command) -> dict[str, click.Parameter]:
    """Key in the file -> parameter: all that help shows, but --config and --help."""
    found: dict[str, click.Parameter] = {}
    for parameter in command.params:
        longest = max(parameter.opts, key=len).lstrip("-")
        if longest not in (_CONFIG, "help") and not getattr(parameter, "hidden", False):
            found[longest] = parameter
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise FileError(f"the options' file {path} cannot be read ({error.strerror}); check its name") from error
    if len(data) > _LARGEST:
        raise InputError(f"{path} is larger than 1 MiB: no file of options; `smartca config show` prints one")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML file of options ({error}); `smartca config show` prints one") from error


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"{key} is not known" + (f"; is {near[0]} meant?" if near else f"; known are {', '.join(known)}")


def _takes_numbers(parameter: click.Parameter) -> bool:
    return isinstance(parameter.type, _NUMBERS)


def _checked(where: str, key: str, value: Any, parameter: click.Parameter, context: click.Context) -> Any:
    """The value as the option takes it. Raises InputError with the option's own words."""
    several = parameter.multiple if isinstance(parameter, click.Option) else False
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    words = value if isinstance(value, list) else [value]
    if (isinstance(value, list) and not several) or any(isinstance(word, bool) != flag for word in words):
        wanted = "true or false" if flag else "one value, or a list of them" if several else "one value"
        raise InputError(f"{where}: {key} = {value!r} is not {wanted}")
    if flag:
        return value
    if any(not isinstance(word, (str, int, float)) for word in words):
        raise InputError(f"{where}: {key} = {value!r} is neither text nor a number")
    if not _takes_numbers(parameter) and any(not isinstance(word, str) for word in words):
        raise InputError(f"{where}: {key} = {value!r} is no text; write it in quotes")
    try:
        for word in words:
            parameter.type.convert(str(word), parameter, context)
    except click.BadParameter as error:
        raise InputError(f"{where}: {key} = {value!r}: {error.message}") from error
    return words if several else value


@click.group()
def config() -> None:
    """Options from a file: `smartca run --config or.toml`."""


@config.command()
@click.option("--config", "path", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The file.")
@click.argument("command", type=click.Choice(COMMANDS), default="run")
@click.pass_context
def show(context: click.Context, path: Path | None, command: str) -> int:
    """Print every option of COMMAND (run, unless another is named) as a file of options, with what holds now."""
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    wanted = root.command.get_command(root, command)
    assert wanted is not None
    inner = click.Context(wanted, info_name=command, parent=root)
    given = {} if path is None else options_in(path, wanted, inner)
    click.echo(f"[{command}]")
    for key, parameter in parameters(wanted).items():
        value = given.get(parameter.name or "", parameter.get_default(inner))
        origin = path.name if path is not None and parameter.name in given else "as usual"
        help_text = getattr(parameter, "help", None) or "see the command's help"
        known = isinstance(value, (str, int, float, Path)) or bool(value and isinstance(value, (list, tuple)))
        line = f"{key} = {_toml(value)}" if known else f"# {key} ="
        click.echo(f"{line}  # {origin}: {help_text.split('  [')[0]}")
    return 0


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, (int, float)):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
