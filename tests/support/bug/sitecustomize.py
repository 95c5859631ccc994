"""In a process that finds this first on PYTHONPATH, a bug is met once the file $SMARTCA_BUG is there.

A stand-in for a mistake of ours: a function of the package raises KeyError, which nobody raises on purpose. Which one
is said by $SMARTCA_BUG_AT, as module:name or module:class.name; the file is taken away first, so that the next
process works.
"""

import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

BUG = os.environ.get("SMARTCA_BUG", "")
MODULE, _, NAME = os.environ.get("SMARTCA_BUG_AT", "").partition(":")


def spoil(module):
    """Let the module's function fail on demand."""
    owner = module
    *outer, name = NAME.split(".")
    for part in outer:
        owner = getattr(owner, part)
    sound = getattr(owner, name)

    def fail_or_work(*arguments, **options):
        if Path(BUG).exists():
            Path(BUG).unlink()
            raise KeyError("a bug that a test asked for")
        return sound(*arguments, **options)

    setattr(owner, name, fail_or_work)


class Spoiler(importlib.abc.MetaPathFinder):
    """Spoils the module once it has been imported."""

    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_spoil(module):
            execute(module)
            spoil(module)

        spec.loader.exec_module = execute_and_spoil
        return spec


if BUG and MODULE:
    sys.meta_path.insert(0, Spoiler())
