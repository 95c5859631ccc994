"""What other packages add: sources, displays, engines, networks and losses, by entry points (see docs/python.md).

Nothing is looked for before a name is asked for that is not built in: installed packages cost the start no time.
A name that is built in stays what it is, whatever plugin claims it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from .errors import InputError, RunError, SmartcaError

Group = Literal["smartca.sources", "smartca.displays", "smartca.engines", "smartca.networks", "smartca.losses"]
# NAME:REST; one letter would be a drive of Windows
SPEC = re.compile(r"([A-Za-z][\w.+-]+):(.*)", re.DOTALL)

_here: dict[tuple[Group, str], Callable[..., Any]] = {}


def register(group: Group, name: str, make: Callable[..., Any]) -> None:
    """Offer `make` as `name` in this process, as an installed plugin would be in every one.

    For scripts and notebooks: processes that this one starts know nothing of it.
    """
    _here[group, name] = make


def name_and_rest(spec: str) -> tuple[str, str] | None:
    """'NAME:REST' as (name, rest); None for what is not written so."""
    found = SPEC.fullmatch(spec)
    return None if found is None else (found[1], found[2])


def names(group: Group) -> list[str]:
    """The names of a group's plugins, in order; none of them is imported."""
    return sorted({entry.name for entry in entry_points(group=group)} | {name for of, name in _here if of == group})


def told(group: Group) -> str:
    """What a sentence about an unknown name ends with."""
    return f"installed plugins: {', '.join(names(group)) or 'none'}"


def maker_of(group: Group, name: str) -> Callable[..., Any] | None:
    """What the plugin `name` of `group` makes its things by; None where there is no such plugin.

    Raises InputError where two packages claim the name, RunError where it cannot be imported or called.
    """
    if (group, name) in _here:
        return _here[group, name]
    # a package that is seen twice, by two entries of the path, is still one
    found = {(entry.value, _package(entry)): entry for entry in entry_points(group=group) if entry.name == name}
    if not found:
        return None
    if len(found) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in found.values()))
        raise InputError(f"two plugins are called {name!r} ({group}), of {packages}; uninstall one of them")
    (entry,) = found.values()
    try:
        make = entry.load()
    except Exception as error:  # whatever a stranger's module raises
        raise RunError(
            f"the plugin {name!r} ({group}) of {_package(entry)} cannot be imported from {entry.value}: "
            f"{_words(error)}; update that package or uninstall it"
        ) from error
    if not callable(make):
        raise RunError(f"the plugin {name!r} ({group}) of {_package(entry)} is {entry.value}, which cannot be called")
    return make


def make(group: Group, name: str, *arguments: object) -> Any | None:
    """What the plugin `name` makes of `arguments`; None where there is no such plugin.

    Raises what `find` raises. What the plugin says by a SmartcaError or an OSError passes as it is; whatever else it
    fails with is a RunError that names it.
    """
    maker = maker_of(group, name)
    if maker is None:
        return None
    try:
        return maker(*arguments)
    except (SmartcaError, OSError):
        raise
    except Exception as error:
        raise RunError(f"the plugin {name!r} ({group}) failed: {_words(error)}") from error


def _package(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _words(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
