"""OpenVINO without its usage reports: nothing may leave a machine with patients' pictures unasked.

On import, OpenVINO would send an event to a web analytics service and keep a client id in the home folder. Where
its telemetry package cannot be imported it falls back to a stub of its own; so the import is made to fail.
"""

from __future__ import annotations

import sys
from typing import Any, cast

if "openvino_telemetry" not in sys.modules:
    cast(dict[str, Any], sys.modules)["openvino_telemetry"] = None

import openvino as ov

__all__ = ["ov"]
