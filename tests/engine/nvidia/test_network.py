"""How an engine is opened, and freed again, by a library that a stand-in plays; see `host_library`."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from smartca.engine import DeviceLost, EngineError, EngineInfo, onnx_graph
from smartca.engine.nvidia import compile as trt_build
from smartca.engine.nvidia import tensorrt_runner as trt
from smartca.engine.nvidia.compile import _configure, _timing_cache
from smartca.engine.nvidia.network import TensorRtNetwork
from smartca.engine.plan import EnginePlan
from support.host_device import ENDS, SIZE, HostDevice
from support.host_library import Kernels, Library, Validity

FREED = ["config", "config", "kernels", "engine", "runtime"]
INFO = EngineInfo("tensorrt-rtx 0", "fp32", "ab" * 32, (1, 1, SIZE, SIZE))
SOMEWHERE = dict.fromkeys(ENDS, 4096)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """What is loaded instead of TensorRT-RTX."""
    it = Library()
    monkeypatch.setattr(trt_build, "load_library", lambda backend: it)
    return it


@pytest.fixture
def device() -> Iterator[HostDevice]:
    it = HostDevice()
    yield it
    it.close()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as at a terminal: where a shell runs the tests in the background, it has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def opened(device: HostDevice, cache: Path | None = None) -> TensorRtNetwork:
    return TensorRtNetwork(b"an engine", "tensorrt-rtx", device, cache)


def test_kernels_live_as_long_as_what_refers_to_them(library: Library, device: HostDevice, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "kernels"
    network = opened(device, cache)
    contexts = [network.context(SOMEWHERE, own_graph) for own_graph in (False, True)]
    assert contexts[0].config.kernels() is contexts[1].config.kernels()
    network.keep_kernels()
    assert cache.read_bytes() == b"kernels"
    assert library.freed == []
    contexts.clear()
    network.close()
    assert library.freed == FREED


def test_it_is_set_up_to_run_fast(library: Library, device: HostDevice) -> None:
    network = opened(device)
    assert (network.own_graph, network.why_not) == (True, "")
    for own_graph in (False, True):
        context = network.context(SOMEWHERE, own_graph)
        assert context.config.cuda_graph_strategy == own_graph
        assert context.config.dynamic_shapes_kernel_specialization_strategy == "EAGER"
        assert context.nvtx_verbosity == "NONE"


def test_a_graph_that_the_library_does_not_take_is_not_claimed(library: Library, device: HostDevice) -> None:
    library.takes_graphs = False
    network = opened(device)
    assert not network.own_graph
    assert "makes none" in network.why_not


def test_an_engine_that_opens_is_not_judged(library: Library, device: HostDevice) -> None:
    opened(device)  # although the library calls it invalid
    assert library.asked == 0
    library.opens = False
    with pytest.raises(EngineError, match="TensorRT-RTX says: OLD_DRIVER, UNSUPPORTED_CC; build it again"):
        opened(device)
    library.validity = Validity.VALID
    with pytest.raises(EngineError, match="gave no reason"):
        opened(device)


def test_what_is_refused_is_freed_first(library: Library, device: HostDevice) -> None:
    library.shapes["q"] = (1, 3, 8, 8)
    with pytest.raises(EngineError, match="no SMART-CA network"):
        opened(device)
    assert library.freed == ["engine", "runtime"]
    library.freed.clear()
    library.shapes.clear()
    network = opened(device)
    with pytest.raises(EngineError, match="cannot be opened") as kept:
        network.context(dict.fromkeys(ENDS, -1))
    network.close()
    assert kept.value.args
    assert library.freed == FREED, "the error keeps no context"


@pytest.mark.parametrize("made", [None, b""])
def test_kernels_that_are_not_there_are_not_kept(
    made: bytes | None, library: Library, device: HostDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kernels, "made", made)
    opened(device, tmp_path / "kernels").keep_kernels()
    assert not (tmp_path / "kernels").exists()


def test_kernels_that_cannot_be_kept_stop_nothing(library: Library, device: HostDevice, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened(device, tmp_path / "file" / "kernels").keep_kernels()
    opened(device, tmp_path).keep_kernels()  # a folder is there
    network = opened(device, tmp_path / "kernels")
    device.refuses = "busy"
    network.keep_kernels()
    assert not (tmp_path / "kernels").exists()
    device.lost = DeviceLost("the GPU is lost")
    with pytest.raises(DeviceLost):
        network.keep_kernels()


def test_the_library_s_reason_outlives_a_wait_that_is_forbidden(
    library: Library, device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, stream = opened(device), device.stream()
    context = network.context(SOMEWHERE)
    context.runs = False
    network._log.errors.append("no such kernel")

    def forbidden(stream: int) -> None:
        raise EngineError("it is being captured")

    monkeypatch.setattr(device, "wait", forbidden)
    with pytest.raises(EngineError, match="does not compute: no such kernel"):
        network.enqueue(context, stream)

    def lost(stream: int) -> None:
        raise DeviceLost("the GPU is lost")

    monkeypatch.setattr(device, "wait", lost)
    with pytest.raises(DeviceLost):
        network.enqueue(context, stream)


@pytest.mark.parametrize("fails", ["the second lane", "the input", "the warm-up"])
def test_what_fails_half_way_is_undone_in_order(
    fails: str, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device, said = HostDevice(), list[str]()
    noting(monkeypatch, device, "close", lambda: said.append("device"))
    noting(monkeypatch, TensorRtNetwork, "close", lambda: said.append("network"))
    noting(monkeypatch, trt.Lane, "close", lambda: said.append("lane"))
    monkeypatch.setattr(trt, "open_device", lambda gpu: device)
    monkeypatch.setattr(trt, "cache_folder", lambda: tmp_path)
    info = EngineInfo("tensorrt-rtx 0", "fp32", "ab" * 32, (1, 1, 8, 8)) if fails == "the input" else INFO
    if fails == "the second lane":
        device.memory = at_most(device.memory, len(ENDS))
    if fails == "the warm-up":
        monkeypatch.setattr(trt.Lane, "warm_up", at_most(lambda *_: None, 1))
    with pytest.raises(EngineError, match="build sheet says" if fails == "the input" else "no more"):
        trt.open_bytes(b"an engine", "tensorrt-rtx", info)
    lanes = {"the input": 0, "the second lane": 1, "the warm-up": 2}[fails]
    assert said == ["lane"] * lanes + ["network", "device"]
    assert library.freed == FREED


def noting(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, note: Callable[[], None]) -> None:
    """Note each call before it is made."""
    whole = getattr(owner, name)

    def noted(*what: Any) -> Any:
        note()
        return whole(*what)

    monkeypatch.setattr(owner, name, noted)


def at_most(work: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Refuses after so many calls."""
    done: list[None] = []

    def limited(*what: Any) -> Any:
        done.append(None)
        if len(done) > times:
            raise EngineError("no more")
        return work(*what)

    return limited


def test_a_timing_cache_that_is_refused_is_begun_anew(tmp_path: Path) -> None:
    class Config:
        def create_timing_cache(self, data: bytes) -> bytes:
            return data

        def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
            return cache != b"of another GPU" and not ignore_mismatch

    plan = EnginePlan(onnx_sha256="", backend="tensorrt", backend_version="11", precision="fp32")
    for before, after in ((b"of another GPU", b""), (b"of this GPU", b"of this GPU")):
        (tmp_path / "timings").write_bytes(before)
        assert _timing_cache(Config(), plan, tmp_path / "timings") == after
    assert _timing_cache(Config(), plan, tmp_path / "none") == b""


def test_a_target_that_the_library_does_not_take_is_one_sentence() -> None:
    rtx: Any = pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx is absent")
    log = trt_build.quiet_logger(rtx)
    builder = rtx.Builder(log)
    config = builder.create_builder_config()
    targets = ("sm86", "current")  # that one stands alone
    plan = EnginePlan(onnx_sha256="", backend="tensorrt-rtx", backend_version="1", precision="fp32", targets=targets)
    ends: Any = None
    with pytest.raises(EngineError, match="takes no current as a target"):
        _configure(rtx, builder, config, ends, plan)
    with contextlib.suppress(IndexError):
        assert "Compute" in log.errors[0]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_build_with_nothing_printed(network: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx is absent")
    ours, heard, told = signal.getsignal(signal.SIGINT), [], []

    def progress(phase: str, done: int, total: int) -> None:
        told.append(phase)
        if not heard:
            heard.append(phase)
            signal.raise_signal(signal.SIGINT)

    plan = EnginePlan(onnx_sha256="", backend="tensorrt-rtx", backend_version="1", precision="fp32", targets=("sm86",))
    ends = onnx_graph.contract(onnx_graph.read_network(network.read_bytes(), "m"), "m")
    with pytest.raises(KeyboardInterrupt):
        trt_build.compile_network(network.read_bytes(), ends, plan, progress)
    assert signal.getsignal(signal.SIGINT) is ours
    stopped, out = len(told), capfd.readouterr()
    assert "Exception" not in out.out + out.err
    told.clear()
    assert trt_build.compile_network(network.read_bytes(), ends, plan, progress)
    assert stopped < len(told)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_logger_is_kept_for_the_end() -> None:
    monitor = SimpleNamespace(raised=None)
    with trt_build._interrupts(monitor):
        signal.raise_signal(signal.SIGINT)  # as if it came while TensorRT says something
    assert isinstance(monitor.raised, KeyboardInterrupt)


def test_ctrl_c_ends_a_silent_build_at_once() -> None:
    # as TensorRT 8 is: nothing of Python's runs in it, so a handler of ours would wait for its end
    code = "import ctypes, signal; from types import SimpleNamespace; from smartca.engine.nvidia import compile as c\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "with c._interrupts(SimpleNamespace(raised=None), old=True):\n"
    code += "    print('in', flush=True); ctypes.PyDLL(None).sleep(60)"  # holds Python's lock, as a library's call does
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as building:
        assert building.stdout is not None and building.stdout.readline() == "in\n"
        building.send_signal(signal.SIGINT)
        assert building.wait(10) == -signal.SIGINT
