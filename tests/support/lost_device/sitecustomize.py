"""In a process that finds this first on PYTHONPATH, an engine loses its device once the file $SMARTCA_LOSE is there.

A stand-in for a GPU that fails for good: `serve` computes in OpenVINO as usual, until its runner raises DeviceLost at
an answer, as the TensorRT runner does. The file is taken away first, so that the next process has a sound device.
"""

import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

LOSE = os.environ.get("SMARTCA_LOSE", "")


def spoil(module):
    """Let the module's runner fail on demand."""
    from smartca.engine.contract import DeviceLost

    runner = module.OpenVinoRunner
    finish = runner.finish
    lost = []

    def finish_or_fail(self):
        answer = finish(self)
        if not lost and Path(LOSE).exists():
            Path(LOSE).unlink()
            lost.append(DeviceLost("the GPU is lost (as a test asked for)"))
        if lost:  # for good, as far as this process goes
            raise lost[0]
        return answer

    runner.finish = finish_or_fail


class Spoiler(importlib.abc.MetaPathFinder):
    """Spoils smartca's OpenVINO runner once it has been imported."""

    def find_spec(self, name, path, target=None):
        if name != "smartca.engine.cpu.openvino_runner" or "serve" not in sys.argv:
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


if LOSE:  # also in the supervisor, of which the engine's process may be a copy
    sys.meta_path.insert(0, Spoiler())
