"""OpenVINO as it is imported: one core, and a Ctrl-C that only ever interrupts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from support.paths import ROOT

ENGINES = """
import gc, signal
from smartca.engine import open_runner
first, second = open_runner(threads=1), open_runner(threads=2)
for runner in (first, second):
    runner.close()
del first, second, runner
gc.collect()
third = open_runner(threads=1)
third.close()
del third
gc.collect()
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in a shell's background
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("broken into")
"""


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="it cannot be raised here")
def test_ctrl_c_only_interrupts_after_engines_have_come_and_gone() -> None:
    done = subprocess.run([sys.executable, "-c", ENGINES], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "broken into"), done.stderr


def test_no_second_core_is_made() -> None:
    rooms = [path for path in ROOT.rglob("*.py") if not {".venv", "tests", "benchmarks"} & set(path.parts)]
    made = [path.name for path in rooms if re.search(r"\bCore\(\)", path.read_text())]
    assert made == ["openvino_import.py"]


def test_what_was_left_out_of_the_import_can_be_had_later() -> None:
    code = (
        "import smartca.engine.cpu.openvino_import, sys; assert 'openvino.tools.ovc' not in sys.modules\n"
        "from openvino.tools.ovc import convert_model; print(convert_model.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "convert_model", done.stderr
