"""smartca: live rotator-cuff-tear outlines on any ultrasound feed. What scripts use is here; see docs/python.md."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# nothing is sent to anybody: onnxruntime reports its use, and keeps a device id, from its import on unless told before
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from .errors import SmartcaError
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .engine.opening import open_segmenter
    from .engine.segmenter import Segmenter
    from .pictures.pixels import Sector
    from .stream.displays.recording import read_recording
    from .stream.scripting import attach, serve, view
    from .stream.sources import open_source
    from .stream.sources.contract import Picture, Source

__all__ = [
    "Picture",
    "Sector",
    "Segmenter",
    "SmartcaError",
    "Source",
    "__version__",
    "attach",
    "open_segmenter",
    "open_source",
    "read_recording",
    "serve",
    "view",
]

# imported when it is first asked for: the commands' start-up must not pay for it
_PLACES = {
    "Picture": "stream.sources.contract",
    "Sector": "pictures.pixels",
    "Segmenter": "engine.segmenter",
    "Source": "stream.sources.contract",
    "attach": "stream.scripting",
    "open_segmenter": "engine.opening",
    "open_source": "stream.sources",
    "read_recording": "stream.displays.recording",
    "serve": "stream.scripting",
    "view": "stream.scripting",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
