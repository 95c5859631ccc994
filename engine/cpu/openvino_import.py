"""OpenVINO without its usage reports: nothing may leave a machine with patients' pictures unasked.

On import, OpenVINO would send an event to a web analytics service and keep a client id in the home folder. Where
its telemetry package cannot be imported it falls back to a stub of its own; so the import is made to fail. The first
import leaves its converter of other frameworks' models out, too: it takes longer than all the rest.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, cast

if "openvino_telemetry" not in sys.modules:
    cast(dict[str, Any], sys.modules)["openvino_telemetry"] = None
if "openvino.tools.ovc" not in sys.modules:
    cast(dict[str, Any], sys.modules)["openvino.tools.ovc"] = None

import openvino as ov

if cast(dict[str, Any], sys.modules)["openvino.tools.ovc"] is None:  # whoever wants it may import it
    del sys.modules["openvino.tools.ovc"]

__all__ = ["ov", "the_core"]


@functools.cache
def the_core() -> ov.Core:
    """The one core of this process, which lives as long as it.

    On processors with AMX each core gives the thread a stack for signals, and on its end the one before, which may be
    gone by then: of two cores that do not end in the right order, Ctrl-C would end the process with a crash.
    """
    return ov.Core()
