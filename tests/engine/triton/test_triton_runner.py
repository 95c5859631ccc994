"""The runner on a Triton server: a small server that misbehaves on purpose, and real gRPC in between."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from smartca.engine import EngineError, OperatingPoint, Segmenter
from smartca.engine.triton.address import parse
from smartca.engine.triton.config import POINT, SHA256, model_version
from smartca.engine.triton.triton_runner import TritonRunner
from smartca.stream.frame import Frame, State
from smartca.stream.serve import serve
from support.frames import make_frame
from support.kserve import DIGEST, SIZE, Behaviour, SmallServer, add, describe, grpc, put
from support.serving import Scanner, Serving, Viewer
from support.waiting import join, wait_until

OTHER = "ab" * 32


@pytest.fixture
def server() -> Iterator[SmallServer]:
    """A sound server, until its behaviour is changed."""
    it = SmallServer(Behaviour())
    yield it
    it.stop()


def picture(seed: int) -> np.ndarray:
    """float32 (1, 1, SIZE, SIZE) in 0..1."""
    return np.random.default_rng(seed).random((1, 1, SIZE, SIZE), dtype=np.float32)


def infer_once_back(runner: TritonRunner, image: np.ndarray) -> np.ndarray:
    """Ask until the connection is there again."""

    def asked() -> list[np.ndarray]:
        with contextlib.suppress(EngineError):
            return [runner.infer(image).q]
        return []

    return wait_until(asked, every_s=0.02)[0]


def test_it_keeps_the_contract_of_an_engine(server: SmallServer) -> None:
    point = OperatingPoint(model_sha256=DIGEST, threshold=0.3, min_area=4)
    server.its.config = describe(outputs=("q", "picture"), point=point)
    with TritonRunner(server.url, timeout_s=20) as runner:
        assert runner.info.as_report() == {
            "backend": "triton 2.51.0 identity",
            "precision": "fp32",
            "model_sha256": DIGEST,
            "input": [1, 1, SIZE, SIZE],
        }
        assert runner.point() == point
        runner.start(picture(1))
        answer = runner.finish()
    assert np.array_equal(answer.q, picture(1)[0, 0])
    assert answer.q.flags.writeable
    assert (answer.tear, answer.strange) == (0.25, 3.5)
    request = server.its.asked[-1]
    assert request.model_version == model_version(DIGEST) == str(0x00BEEF000000)
    assert request.parameters["priority"].uint64_param == 1


def test_a_server_without_an_operating_point_is_not_calibrated(server: SmallServer) -> None:
    with TritonRunner(server.url) as runner:
        assert runner.point() == OperatingPoint(model_sha256=DIGEST)
        assert runner.infer(picture(0)).tear == 1.0


def test_pictures_of_another_kind_are_refused(server: SmallServer) -> None:
    with TritonRunner(server.url, timeout_s=20) as runner:
        with pytest.raises(EngineError, match="takes float32"):
            runner.start(np.zeros((1, 1, 8, 8), np.float32))
        with pytest.raises(EngineError, match="start comes before finish"):
            runner.finish()
        runner.start(picture(0))
        with pytest.raises(EngineError, match="earlier picture"):
            runner.start(picture(1))
        assert np.array_equal(runner.finish().q, picture(0)[0, 0])


def other_request(response: Any, request: Any) -> None:
    response.id = "17"


def other_weights(response: Any, request: Any) -> None:
    response.model_version = model_version(OTHER)


def not_finite(response: Any, request: Any) -> None:
    response.raw_output_contents[0] = np.full((SIZE, SIZE), np.nan, np.float32).tobytes()


def too_sure(response: Any, request: Any) -> None:
    response.raw_output_contents[0] = np.full((SIZE, SIZE), 1.5, np.float32).tobytes()


def too_small(response: Any, request: Any) -> None:
    del response.outputs[:]
    del response.raw_output_contents[:]
    put(response, "q", np.zeros((8, 8)), [1, 1, 8, 8])


def nothing(response: Any, request: Any) -> None:
    del response.outputs[:]
    del response.raw_output_contents[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_request, "answered request '17'"),
        (other_weights, "of version"),
        (not_finite, "outside 0..1"),
        (too_sure, "outside 0..1"),
        (too_small, "outside 0..1"),
        (nothing, "outside 0..1"),
    ],
)
def test_a_wrong_answer_is_no_answer(server: SmallServer, change: Any, words: str) -> None:
    with TritonRunner(server.url, timeout_s=20) as runner:
        server.its.change = change
        with pytest.raises(EngineError, match=words):
            runner.infer(picture(0))
        server.its.change = None
        assert np.array_equal(infer_once_back(runner, picture(1)), picture(1)[0, 0])


@pytest.mark.parametrize(("version", "called_off"), [("2.51.0", False), ("2.60.0", True)])
def test_a_late_answer_is_never_taken_for_the_next_one(server: SmallServer, version: str, called_off: bool) -> None:
    """Servers before 2.60 can crash when a request is called off, so that they are left to finish."""
    server.its.version = version
    with TritonRunner(server.url, timeout_s=0.3) as runner:
        server.its.delay_s = 0.9
        started = time.monotonic()
        with pytest.raises(EngineError, match="no answer in time"):
            runner.infer(picture(0))
        with pytest.raises(EngineError, match="no answer in time"):  # and does not wait again
            runner.infer(picture(1))
        assert time.monotonic() - started < 0.9
        server.its.delay_s = 0.0
        for seed in range(2, 12):
            assert np.array_equal(infer_once_back(runner, picture(seed)), picture(seed)[0, 0])
        wait_until(lambda: len(server.its.asked) == server.its.done)
    assert (server.its.called_off > 0) is called_off


def test_a_full_queue_costs_one_picture_and_not_the_connection(server: SmallServer) -> None:
    with TritonRunner(server.url, timeout_s=20) as runner:
        for words in ("[request id: 1] Exceeds maximum queue size", "Request timeout expired"):
            server.its.complaint = (grpc.StatusCode.UNAVAILABLE, words)
            with pytest.raises(EngineError, match="more pictures waiting"):
                runner.infer(picture(0))
            server.its.complaint = None
            assert np.array_equal(runner.infer(picture(1)).q, picture(1)[0, 0])


def test_it_connects_again_when_the_server_is_back(server: SmallServer) -> None:
    with TritonRunner(server.url, timeout_s=20) as runner:
        runner.infer(picture(0))
        server.stop()
        for _ in range(3):
            with pytest.raises(EngineError, match="no Triton server answers"):
                runner.infer(picture(0))
        again = SmallServer(Behaviour(), server.port)
        assert np.array_equal(infer_once_back(runner, picture(3)), picture(3)[0, 0])
        again.stop()


def test_other_weights_are_not_taken_for_the_same(server: SmallServer) -> None:
    with TritonRunner(server.url, timeout_s=20) as runner:
        server.stop()
        with pytest.raises(EngineError):
            runner.infer(picture(0))
        again = SmallServer(Behaviour(describe(OTHER)), server.port)

        def refusal() -> str:
            with pytest.raises(EngineError) as caught:
                runner.infer(picture(0))
            words = str(caught.value)
            return words if "restart" in words else ""

        assert f"holds weights {OTHER[:12]}" in wait_until(refusal, every_s=0.02)
        again.stop()


def without_digest(config: Any) -> None:
    del config.parameters[SHA256]


def with_nonsense(config: Any) -> None:
    config.parameters[SHA256].string_value = "z" * 64


def with_two_inputs(config: Any) -> None:
    add(config.input, "more", [1])


def with_three_channels(config: Any) -> None:
    config.input[0].dims[1] = 3


def with_damaged_point(config: Any) -> None:
    config.parameters[POINT].string_value = '{"threshold": 7}'


def with_foreign_point(config: Any) -> None:
    config.parameters[POINT].string_value = f'{{"model_sha256": "{OTHER}"}}'


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_digest, "does not say which weights"),
        (with_nonsense, "nonsense"),
        (with_two_inputs, "wrong shape"),
        (with_three_channels, "wrong shape"),
        (with_damaged_point, "no readable operating point"),
        (with_foreign_point, "other weights"),
    ],
)
def test_a_model_that_is_not_ours_is_refused(server: SmallServer, spoil: Any, words: str) -> None:
    spoil(server.its.config)
    with pytest.raises(EngineError, match=words):
        TritonRunner(server.url)


def test_where_nothing_is_there_is_a_sentence(server: SmallServer) -> None:
    with pytest.raises(EngineError, match=r"unknown model.*smartca build --triton"):
        TritonRunner(server.url.replace("smartca", "elsewhere"))
    server.stop()
    with pytest.raises(EngineError, match=r"no Triton server answers at 127\.0\.0\.1:\d+ \(.*\); start it"):
        TritonRunner(server.url)


def test_without_its_package_there_is_a_sentence(server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(EngineError, match=r"pip install 'tritonclient\[grpc\]'"):
        TritonRunner(server.url)


@pytest.mark.parametrize("maps", [False, True])
def test_memory_that_does_not_carry_the_answer_is_not_used(server: SmallServer, maps: bool) -> None:
    """Not mapped at all (another machine behind a tunnel), or mapped and never written."""
    server.its.maps_memory = maps
    with TritonRunner(server.url, timeout_s=20) as runner:
        assert not runner.shares_memory
        assert np.array_equal(runner.infer(picture(0)).q, picture(0)[0, 0])
    assert len(server.its.asked) == (3 if maps else 2)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:8001/smartca", "write it as"),
        ("triton://127.0.0.1/smartca", "write it as"),
        ("triton://127.0.0.1:99999/smartca", "write it as"),
        ("triton://127.0.0.1:8001", "write it as"),
        ("triton://127.0.0.1:8001/a/b", "write it as"),
        ("triton://10.0.0.7:8001/smartca", "unencrypted"),
        ("triton://hospital:8001/smartca", "unencrypted"),
        ("triton://localhost:8001/smartca?speed=9", "'speed'"),
        ("triton://localhost:8001/smartca?priority=3", "priority"),
        ("triton://localhost:8001/smartca?memory=maybe", "on or off"),
        ("triton://localhost:8001/smartca?ca=/x.pem", "tritons"),
        ("tritons://hospital:8001/smartca?ca=/x.pem", "no file"),
        (f"tritons://hospital:8001/smartca?cert={__file__}", "both or neither"),
    ],
)
def test_addresses_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        parse(url)


def test_addresses_that_are_taken() -> None:
    near = parse("triton://[::1]:8001/smartca?priority=2")
    assert (near.host, near.model, near.tls, near.memory, near.priority) == ("[::1]:8001", "smartca", False, True, 2)
    assert parse("triton://10.0.0.7:8001/smartca", insecure=True).memory is False
    far = parse(f"tritons://hospital:8001/smartca?ca={__file__}")
    assert (far.tls, far.ca, far.memory) == (True, __file__, False)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1, signed by nobody else. Skips where openssl is absent."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl is absent")
    key, cert = folder / "key.pem", folder / "cert.pem"
    make = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout {key} -out {cert}"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *make.split(), *names], check=True, capture_output=True)
    return key, cert


def test_tls_shows_pictures_to_the_right_server_only(tmp_path: Path) -> None:
    key, cert = certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    server = SmallServer(Behaviour(), credentials=credentials)
    secure = server.url.replace("triton:", "tritons:")
    with TritonRunner(f"{secure}?ca={cert}", timeout_s=20) as runner:
        assert np.array_equal(runner.infer(picture(0)).q, picture(0)[0, 0])
    asked = len(server.its.asked)
    with pytest.raises(EngineError, match="no Triton server answers"):
        TritonRunner(secure)  # signed by nobody this machine knows
    with pytest.raises(EngineError, match="no Triton server answers"):
        TritonRunner(server.url)
    assert len(server.its.asked) == asked
    server.stop()


@contextlib.contextmanager
def streaming(
    folder: Path, url: str, frame: Callable[[int], Frame] = make_frame
) -> Iterator[Callable[[set[State]], str]]:
    """A feed of `frame`s, the serve loop on the engine at `url`, a viewer; yields what waits for one of some states."""
    it = Serving(f"ipc://{folder}/in", f"ipc://{folder}/out", zmq.Context())

    def open_segmenter() -> Segmenter:
        runner = TritonRunner(url, timeout_s=20)
        return Segmenter(runner, runner.point())

    def keep() -> bool:
        return not it.stop.is_set()

    thread = threading.Thread(target=serve, args=(open_segmenter, it.bind, it.publish, False, keep), daemon=True)
    thread.start()
    scanner, viewer, seq = Scanner(it, 7), Viewer(it), 0

    def seen(states: set[State]) -> bool:
        nonlocal seq
        seq += scanner.send(frame(seq))
        viewer.pump(1)
        return bool(viewer.answers) and viewer.answers[-1].result.state in states

    def watch_until(states: set[State]) -> str:
        wait_until(lambda: seen(states), every_s=0)
        return viewer.answers[-1].result.reason

    yield watch_until
    it.stop.set()
    join(thread)
    for dealer in it.dealers:
        dealer.close()
    it.context.term()


def test_the_stream_says_no_result_and_goes_on(tmp_path: Path, server: SmallServer) -> None:
    with streaming(tmp_path, server.url) as watch_until:
        watch_until({State.TEAR_OUTLINED})
        server.stop()
        assert "no Triton server answers" in watch_until({State.NO_RESULT, State.NO_TEAR_OUTLINED})
        again = SmallServer(Behaviour(), server.port)
        watch_until({State.TEAR_OUTLINED})
    again.stop()
