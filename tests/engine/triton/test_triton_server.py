"""Against a real Triton server: the shipped network, a repository as it is written, kill -9."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from smartca.engine import SHIPPED_MODEL, EngineError, Segmenter, open_runner, whole
from smartca.engine.letterbox import letterbox, to_input
from smartca.engine.triton.config import Serving
from smartca.engine.triton.repository import write_repository
from smartca.engine.triton.session import client_package
from smartca.engine.triton.triton_runner import TritonRunner
from smartca.phantom import Phantom
from smartca.stream.frame import Frame, State
from support.frames import make_frame
from support.triton_server import HOW, RealServer, environment, for_python_backend
from support.waiting import PATIENCE_S, wait_until
from test_triton_runner import certificate, streaming

PATIENT_S = 60.0  # other work shares these cores; how fast answers come is measured in benchmarks/triton_latency.py


def launch(folder: Path, serving: Serving, *options: str) -> RealServer:
    """A server of the shipped network, with one thread. Skips where there is none."""
    env = environment()
    if env is None:
        pytest.skip(HOW)
    for_python_backend(write_repository(SHIPPED_MODEL, folder / "models", serving=serving))
    it = RealServer(env, folder / "models", folder, *options)
    it.start()
    return it


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """The repository as it is written unless asked otherwise."""
    it = launch(tmp_path_factory.mktemp("triton"), Serving(threads=1))
    yield it
    it.kill()


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """Four frames of a phantom that tears in some of them."""
    return [np.asarray(Phantom(90001).frame(float(t)).pixels, np.uint8) for t in (0, 60, 120, 180)]


def inputs(frames: list[np.ndarray], size: int) -> list[np.ndarray]:
    return [to_input(letterbox(pixels, whole(pixels.shape), size)) for pixels in frames]


@pytest.mark.parametrize("memory", ["on", "off"])
def test_masks_equal_the_local_ones_bit_for_bit(server: RealServer, frames: list[np.ndarray], memory: str) -> None:
    with (
        TritonRunner(f"{server.url}?memory={memory}", timeout_s=PATIENT_S) as remote,
        open_runner(SHIPPED_MODEL, "fp32", 1) as local,
    ):
        assert remote.shares_memory is (memory == "on")
        assert remote.info.model_sha256 == local.info.model_sha256
        assert remote.info.input == local.info.input
        here = Segmenter(local, local.point())
        assert remote.point() == here.point
        there = Segmenter(remote, remote.point())
        for picture in inputs(frames, local.info.size):
            mine, its = local.infer(picture), remote.infer(picture)
            assert np.array_equal(mine.q, its.q)
            assert (mine.tear, mine.strange) == (its.tear, its.strange)
        masks = [(here(pixels, whole(pixels.shape)), there(pixels, whole(pixels.shape))) for pixels in frames]
        assert all(np.array_equal(mine.mask, its.mask) and mine.confidence == its.confidence for mine, its in masks)
        assert any(mine.mask.any() for mine, its in masks)


def infer_once_back(runner: TritonRunner, picture: np.ndarray) -> np.ndarray:
    """Ask until the connection is there again."""

    def asked() -> list[np.ndarray]:
        with contextlib.suppress(EngineError):
            return [runner.infer(picture).q]
        return []

    return wait_until(asked, every_s=0.05)[0]


def test_kill_9_is_told_at_once_and_the_next_server_is_found(server: RealServer, frames: list[np.ndarray]) -> None:
    with TritonRunner(server.url, timeout_s=PATIENT_S) as runner:
        first, second, *_ = inputs(frames, runner.info.size)
        before = [runner.infer(first).q, runner.infer(second).q]
        server.freeze()  # so that the picture is on its way when the end comes
        runner.start(first)
        killed = time.monotonic()
        server.kill()
        with pytest.raises(EngineError, match="no Triton server answers"):
            runner.finish()
        with pytest.raises(EngineError, match="no Triton server answers"):
            runner.infer(second)
        assert time.monotonic() - killed < PATIENT_S / 2  # by the broken connection, not by the deadline
        server.start()
        assert np.array_equal(infer_once_back(runner, second), before[1])
        assert runner.shares_memory
        assert not np.array_equal(before[0], before[1])


def test_a_hanging_server_costs_no_more_than_the_deadline(server: RealServer, frames: list[np.ndarray]) -> None:
    with TritonRunner(server.url, timeout_s=2.0) as runner:
        first, second, *_ = inputs(frames, runner.info.size)
        wanted = infer_once_back(runner, second)
        server.freeze()
        with pytest.raises(EngineError, match="no answer in time"):
            runner.infer(first)
        started = time.monotonic()
        with pytest.raises(EngineError, match="no answer in time"):
            runner.infer(first)
        assert time.monotonic() - started < 1.0  # the second is not waited for
        server.thaw()
        assert np.array_equal(infer_once_back(runner, second), wanted)  # not the late answer to the first


def test_the_stream_says_no_result_and_goes_on(server: RealServer, frames: list[np.ndarray], tmp_path: Path) -> None:
    outlined = {State.TEAR_OUTLINED, State.NO_TEAR_OUTLINED}

    def frame(seq: int) -> Frame:
        pixels = frames[seq % len(frames)]
        return replace(make_frame(seq, truth=False), pixels=pixels, sector=whole(pixels.shape))

    with streaming(tmp_path, server.url, frame) as watch_until:
        watch_until(outlined)
        server.kill()
        assert "no Triton server answers" in watch_until({State.NO_RESULT})
        server.start()
        watch_until(outlined)


def test_a_strict_queue_turns_away_what_would_grow_old(frames: list[np.ndarray], tmp_path: Path) -> None:
    """One is worked on and one waits at each priority, so that a live feed's finds room among those that may wait."""
    server = launch(tmp_path, Serving(threads=1, strict_queue=True, queue=1, patience_ms=60_000))
    package = client_package()
    picture = inputs(frames, 256)[0]
    tensor = package.InferInput("image", list(picture.shape), "FP32")
    tensor.set_data_from_numpy(picture)
    done: SimpleQueue[tuple[int, str]] = SimpleQueue()

    def reply(number: int, result: Any, error: Any) -> None:
        done.put((number, "" if error is None else error.message()))

    try:
        with package.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            client.is_server_live()
            server.freeze()  # so that they come all at once
            for number in range(20):
                client.async_infer("smartca", [tensor], partial(reply, number), priority=2)
            client.async_infer("smartca", [tensor], partial(reply, 100), priority=1)
            server.thaw()
            told = dict(done.get(timeout=PATIENCE_S) for _ in range(21))
    finally:
        server.kill()
    refused = [words for words in told.values() if words]
    assert told[100] == ""
    assert 0 < len(refused) < 20
    assert all("Exceeds maximum queue size" in words for words in refused)


def test_the_server_refuses_other_weights_by_itself(server: RealServer, frames: list[np.ndarray]) -> None:
    package = client_package()
    picture = inputs(frames, 256)[0]
    tensor = package.InferInput("image", list(picture.shape), "FP32")
    tensor.set_data_from_numpy(picture)
    with (
        package.InferenceServerClient(f"127.0.0.1:{server.port}") as client,
        pytest.raises(package.InferenceServerException, match="version 7 is not found"),
    ):
        client.infer("smartca", [tensor], model_version="7")


def test_the_locked_down_server_of_the_docs_serves(frames: list[np.ndarray], tmp_path: Path) -> None:
    """TLS, nobody without a certificate, no shared memory or model control for those who only bring pictures."""
    key, cert = certificate(tmp_path)
    closed = "--grpc-restricted-protocol=shared-memory,model-repository,trace,logging:admin=secret"
    tls = ["--grpc-use-ssl=true", f"--grpc-server-cert={cert}", f"--grpc-server-key={key}"]
    tls += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={cert}"]
    server = launch(tmp_path, Serving(threads=1), closed, *tls)
    try:
        url = server.url.replace("triton:", "tritons:")
        with TritonRunner(f"{url}?ca={cert}&cert={cert}&key={key}", timeout_s=PATIENT_S) as runner:
            assert not runner.shares_memory
            assert runner.infer(inputs(frames, runner.info.size)[0]).q.max() > 0.0
        for stranger in (server.url, f"{url}?ca={cert}"):
            with pytest.raises(EngineError, match="no Triton server answers"):
                TritonRunner(stranger)
    finally:
        server.kill()


def test_a_repository_that_triton_cannot_load_says_so(server: RealServer, network: Path, tmp_path: Path) -> None:
    """The check has teeth: the same file with a misspelt field is not loaded."""
    env = environment()
    assert env is not None
    folder = write_repository(network, tmp_path / "models", serving=Serving(threads=1))
    for_python_backend(folder)
    config = folder / "config.pbtxt"
    config.write_text(config.read_text().replace("max_queue_delay_microseconds", "max_queue_delay_minutes"))
    with pytest.raises(RuntimeError, match="max_queue_delay_minutes"):
        RealServer(env, tmp_path / "models", tmp_path).start()
