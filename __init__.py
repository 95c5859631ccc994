"""smartca: live rotator-cuff-tear outlines on any ultrasound feed."""

import os

# nothing is sent to anybody: onnxruntime reports its use, and keeps a device id, from its import on unless told before
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from .version import __version__ as __version__
