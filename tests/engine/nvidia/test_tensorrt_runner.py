"""The TensorRT runner, as far as no GPU is needed: order, ownership and failures on a device in the host's memory.

What a GPU computes is not tested here: `bash benchmarks/gpu.sh` does that, on a machine that has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from smartca.engine import DeviceLost, EngineError, Runner, open_runner
from smartca.engine import plan as plans
from smartca.engine.building.assembly import Options
from smartca.engine.building.build import build_engine
from smartca.engine.machine import gpus, installed
from smartca.engine.nvidia.compile import load_library
from smartca.engine.nvidia.device import open_device
from smartca.engine.nvidia.graph import CudaError, bindings, checked
from smartca.engine.nvidia.lane import Lane
from smartca.engine.nvidia.network import TensorRtNetwork
from smartca.engine.nvidia.tensorrt_runner import LANES, TrtRunner
from support.host_device import INFO, SIZE, HostDevice, HostNetwork, open_on

RTX = pytest.mark.skipif(not installed("tensorrt_rtx"), reason="the package tensorrt-rtx is absent")
NO_GPU = pytest.mark.skipif(bool(gpus()), reason="is about machines without an NVIDIA GPU")


def picture(seed: int) -> NDArray[np.float32]:
    """float32 (1, 1, SIZE, SIZE) in 0..1."""
    return np.random.default_rng(seed).random((1, 1, SIZE, SIZE), dtype=np.float32)


@pytest.fixture
def device() -> Iterator[HostDevice]:
    """A device, given back whatever happens."""
    it = HostDevice()
    yield it
    if not it.closed:
        it.close()


def test_it_keeps_the_contract_of_an_engine(device: HostDevice) -> None:
    with open_on(device) as opened:
        runner: Runner = opened
        answer = runner.infer(picture(1))
        again = runner.infer(picture(2))
        assert np.array_equal(answer.q, picture(1)[0, 0]), "the first answer stays valid"
        assert np.array_equal(again.q, picture(2)[0, 0])
        assert (answer.tear, answer.strange) == (0.25, 3.5)
        wrong: Any = picture(1).astype(np.float64)
        with pytest.raises(EngineError, match="takes float32"):
            runner.start(wrong)
        with pytest.raises(EngineError, match="start comes before finish"):
            runner.finish()
    assert device.closed


def test_two_pictures_are_under_way_and_never_mixed_up(device: HostDevice) -> None:
    with open_on(device) as runner:
        assert runner.in_flight == 2
        for seed in range(20):
            for stream in device.streams:
                stream.gate.clear()
            runner.start(picture(2 * seed))
            runner.start(picture(2 * seed + 1))
            with pytest.raises(EngineError, match="works on 2 pictures"):
                runner.start(picture(0))
            device.streams[1].gate.set()  # the second may well be done first
            device.streams[0].gate.set()
            for wanted in (2 * seed, 2 * seed + 1):
                assert np.array_equal(runner.finish().q, picture(wanted)[0, 0])


@pytest.mark.parametrize(("captures", "why"), [("well", ""), ("not at all", "cuda-bindings"), ("badly", "differ")])
def test_a_graph_is_used_only_where_it_says_the_same(captures: str, why: str) -> None:
    device = HostDevice(captures)
    network = HostNetwork(device)
    with open_on(device, network) as runner:
        assert why in runner.without_graph
        assert bool(runner.without_graph) == bool(why)
        assert np.array_equal(runner.infer(picture(1)).q, picture(1)[0, 0])
        # a context that was captured in vain is not used any more
        assert network.contexts == (LANES if captures == "well" else 2 * LANES)


def test_a_library_with_a_graph_of_its_own_is_left_to_it(device: HostDevice) -> None:
    network = HostNetwork(device, own_graph=True)
    with open_on(device, network) as runner:
        assert runner.without_graph == ""
        assert (network.contexts, network.graphs) == (2 * LANES, LANES)  # one first that has none
        assert np.array_equal(runner.infer(picture(1)).q, picture(1)[0, 0])
    other = HostDevice()
    with open_on(other, HostNetwork(other, why_not="the library makes none")) as runner:
        assert runner.without_graph == "the library makes none"


@pytest.mark.parametrize(("captures", "why"), [("not at all", "makes no context"), ("badly", "differ")])
def test_a_library_s_own_graph_is_held_against_a_run_without_it(captures: str, why: str) -> None:
    device = HostDevice(captures)
    network = HostNetwork(device, own_graph=True)
    with open_on(device, network) as runner:
        assert why in runner.without_graph
        assert np.array_equal(runner.infer(picture(1)).q, picture(1)[0, 0])


def test_the_computing_alone_runs_as_it_does_with_copies(device: HostDevice) -> None:
    with open_on(device) as runner:
        runner.infer(picture(1))
        lane = runner.lanes[0]
        lane.picture[...] = 0.0
        before = len(device.graphs)
        for _ in range(3):
            lane.compute()
            lane.wait()
        (alone,) = device.graphs[before:]
        assert alone.launched == 3
        assert len(alone.work) == 1, "no copies"
        assert np.array_equal(lane.answers[0], picture(1))
    assert not any(graph.work for graph in device.graphs), "all graphs are freed"


def test_closed_twice_is_closed(device: HostDevice) -> None:
    freed: list[str] = []
    runner = TrtRunner([Lane(device, HostNetwork(device))], INFO, lambda: freed.append("once"))
    runner.close()
    runner.close()
    assert freed == ["once"]


def test_one_failure_costs_one_picture(device: HostDevice) -> None:
    with open_on(device) as runner:
        device.refuses = "out of memory"
        with pytest.raises(EngineError, match="out of memory"):
            runner.infer(picture(1))
        for seed in range(3):  # both lanes are there again
            runner.start(picture(seed))
            runner.start(picture(seed + 1))
            assert np.array_equal(runner.finish().q, picture(seed)[0, 0])
            assert np.array_equal(runner.finish().q, picture(seed + 1)[0, 0])


def test_a_lost_device_says_so_of_everything_it_had(device: HostDevice) -> None:
    with open_on(device) as runner:
        runner.start(picture(1))
        runner.start(picture(2))
        device.lost = DeviceLost("the GPU is lost")
        for _ in range(3):
            with pytest.raises(DeviceLost, match="the GPU is lost"):
                runner.finish()
        device.lost = None  # errors of this kind stay, whatever the device says later
        with pytest.raises(DeviceLost):
            runner.start(picture(3))
    assert not device.closed  # that could hang


def test_a_device_lost_in_the_warm_up_is_no_matter_of_graphs(device: HostDevice) -> None:
    lane = Lane(device, HostNetwork(device))
    device.lost = DeviceLost("the GPU is lost")
    with pytest.raises(DeviceLost):
        lane.warm_up(1)


def test_nonsense_is_no_answer(device: HostDevice) -> None:
    with open_on(device) as runner:
        for wrong in (np.nan, np.inf, -0.5, 1.5):
            image = picture(1)
            image[0, 0, 3, 3] = wrong
            with pytest.raises(EngineError, match=r"outside 0\.\.1"):
                runner.infer(image)
        assert np.array_equal(runner.infer(picture(1)).q, picture(1)[0, 0])


def test_what_the_driver_says_is_checked() -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="the package cuda-bindings is absent")
    assert checked(driver, (driver.CUresult.CUDA_SUCCESS, 7)) == 7
    assert checked(driver, (driver.CUresult.CUDA_SUCCESS,)) is None
    for name in ("cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphLaunch"):
        assert callable(getattr(driver, name))
    assert driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL == 1


@NO_GPU
def test_without_a_gpu_it_is_one_sentence() -> None:
    with pytest.raises(EngineError, match=r"no NVIDIA GPU with a driver here, .*--extra cuda") as error:
        open_device()
    assert "\n" not in str(error.value)
    with pytest.raises(CudaError, match="cuda-bindings"):
        bindings()


@RTX
@NO_GPU
def test_the_library_refuses_in_its_own_words(tmp_path: Path, network: Path, device: HostDevice) -> None:
    engine = build_engine(network, Options("tensorrt-rtx", "fp16", ("sm86",)), lambda *_: None, tmp_path / "cache")
    with pytest.raises(EngineError, match=r"TensorRT-RTX says: .*driver") as error:
        TensorRtNetwork(engine.read_bytes(), "tensorrt-rtx", device)
    assert "\n" not in str(error.value)


@RTX
def test_the_librarys_names_are_those_that_are_used() -> None:
    trt: Any = load_library("tensorrt-rtx")
    for owner, names in {
        trt.Runtime: "deserialize_cuda_engine get_engine_validity",
        trt.ICudaEngine: "create_execution_context create_runtime_config num_io_tensors get_tensor_name "
        "get_tensor_mode get_tensor_shape get_tensor_dtype device_memory_size_v2",
        trt.DynamicShapesKernelSpecializationStrategy: "EAGER",
        trt.ProfilingVerbosity: "NONE",
        trt.IExecutionContext: "execute_async_v3 set_tensor_address set_input_shape nvtx_verbosity",
        trt.IRuntimeConfig: "create_runtime_cache set_runtime_cache cuda_graph_strategy "
        "dynamic_shapes_kernel_specialization_strategy",
        trt.IRuntimeCache: "serialize deserialize",
        trt.CudaGraphStrategy: "WHOLE_GRAPH_CAPTURE DISABLED",
        trt.EngineValidity: "INVALID",
    }.items():
        assert not [name for name in names.split() if not hasattr(owner, name)]


@RTX
def test_an_engine_that_does_not_fit_is_refused_before_anything_is_loaded(tmp_path: Path, network: Path) -> None:
    engine = build_engine(network, Options("tensorrt-rtx", "fp16", ("sm86",)), lambda *_: None, tmp_path / "cache")
    with pytest.raises(EngineError, match="computes in fp16"):
        open_runner(engine, "fp32")
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(EngineError, match="smartca build"):
        open_runner(engine)
    plans.sheet_path(engine).unlink()
    with pytest.raises(EngineError, match="no build sheet"):
        open_runner(engine)
