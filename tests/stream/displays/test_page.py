"""The live page's server, over real sockets."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import pytest
from smartca.engine.operating_point import POINT_NAMES
from smartca.stream.displays.page.hub import PageServer
from smartca.stream.displays.page.metrics import Watched, routes
from smartca.stream.frame import State, Trail
from smartca.stream.tally import Tally
from support.waiting import run_async

Socket: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer(0)
    server.start()
    yield server
    server.stop()


def header(seq: int, state: str = "tear outlined") -> dict[str, Any]:
    return {
        "state": state,
        "seq": seq,
        "epoch": 7,
        "captured_local_ns": time.monotonic_ns(),
        "outlines": [[1, 2, 30, 2, 30, 40]],
    }


def parse(message: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from(">I", message)
    return json.loads(message[4 : 4 + length]), message[4 + length :]


@asynccontextmanager
async def browser(server: PageServer) -> AsyncIterator[Socket]:
    """The websocket of a browser that shows our own page."""
    async with aiohttp.ClientSession(headers={"Origin": server.url.rstrip("/")}) as session:
        socket = await session.ws_connect(server.url + "live", autoclose=False)
        while not server.browsers:
            await asyncio.sleep(0.001)
        yield socket
        await socket.close()


def looking(server: PageServer, look: Callable[[Socket], Awaitable[None]]) -> None:
    async def main() -> None:
        async with browser(server) as socket:
            await look(socket)

    run_async(main())


async def frame(socket: Socket) -> tuple[dict[str, Any], bytes]:
    return parse(await socket.receive_bytes())


def get(url: str, **headers: str) -> tuple[int, str, Any]:
    async def main() -> tuple[int, str, Any]:
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    return run_async(main())


def test_one_message_holds_picture_outline_and_latency(server: PageServer) -> None:
    async def look(socket: Socket) -> None:
        await socket.send_str("next")
        sent = header(3)
        server.publish(b"\xff\xd8 a picture", sent)
        got, jpeg = await frame(socket)
        after = (time.monotonic_ns() - sent["captured_local_ns"]) / 1e6
        assert jpeg == b"\xff\xd8 a picture"
        assert 0 < got["latency_ms"] < after
        assert got == sent | {"latency_ms": got["latency_ms"]}

    looking(server, look)
    ((epoch, seq, latency),) = server.take_latencies()
    assert (epoch, seq) == (7, 3) and latency > 0
    assert server.take_latencies() == []


def test_the_newest_frame_wins_while_the_browser_draws(server: PageServer) -> None:
    async def look(socket: Socket) -> None:
        await socket.send_str("next")
        for seq in range(50):
            server.publish(b"p%d" % seq, header(seq))
        first, _ = await frame(socket)
        await socket.send_str("next")
        seqs = [first["seq"]]
        while seqs[-1] != 49:
            got, jpeg = await frame(socket)
            assert jpeg == b"p%d" % got["seq"]
            seqs.append(got["seq"])
            await socket.send_str("next")
        assert seqs == sorted(set(seqs)) and len(seqs) <= 3
        server.publish(b"last", header(50))
        assert (await frame(socket))[0]["seq"] == 50

    looking(server, look)
    assert len(server.take_latencies()) <= 4


def test_a_browser_asks_for_a_point_and_for_nothing_else(server: PageServer) -> None:
    asked: list[str] = []
    server.on_point = asked.append

    async def look(socket: Socket) -> None:
        for words in (
            "point bold",
            "point",
            "point careful ",
            "careful",
            "point searching",
            "x" * 900,
            "point careful",
        ):
            await socket.send_str(words)
        await socket.send_bytes(b"point balanced")
        await socket.send_str("next")
        server.publish(b"x", header(1))
        await frame(socket)  # all before it has been heard

    looking(server, look)
    assert asked == ["searching", "careful"]


def test_the_page_has_a_button_for_each_point_and_dashes_what_is_unsure(server: PageServer) -> None:
    page, script, style = (get(server.url + path)[1] for path in ("", "page.js", "page.css"))
    for name in POINT_NAMES:
        assert f'data-point="{name}"' in page and f'"{name}"' in script
    assert "stroke(header.unsure" in script and "setLineDash" in script
    for state in State:
        assert f'[data-state="{state.value}"]' in style, f"{state.value} looks like another state"


def test_no_frame_is_sent_before_the_browser_asks_and_status_at_once(server: PageServer) -> None:
    async def look(socket: Socket) -> None:
        server.publish(b"x", header(1))
        server.status({"captured": 12})
        assert json.loads(await socket.receive_str()) == {"captured": 12}
        await socket.send_str("next")
        assert (await frame(socket))[0]["seq"] == 1

    looking(server, look)


@pytest.mark.parametrize("state", ["no result", "stale"])
def test_a_status_that_ends_the_outline_ends_the_frames_before_it(server: PageServer, state: str) -> None:
    async def look(socket: Socket) -> None:
        server.publish(b"old", header(1))
        server.status({"state": state, "note": "the engine does not answer"})
        await socket.send_str("next")
        assert json.loads(await socket.receive_str())["state"] == state
        server.publish(b"new", header(2))
        assert (await frame(socket))[0]["seq"] == 2

    looking(server, look)
    assert [seq for _, seq, _ in server.take_latencies()] == [2]


def test_a_new_browser_hears_the_last_status_but_sees_no_old_frame(server: PageServer) -> None:
    server.publish(b"old", header(1))
    server.status({"state": "no result", "note": "the engine does not answer"})

    async def look(socket: Socket) -> None:
        await socket.send_str("next")
        assert json.loads(await socket.receive_str())["note"] == "the engine does not answer"
        server.publish(b"new", header(2))
        assert (await frame(socket))[1] == b"new"

    looking(server, look)


def test_a_frame_counts_once_however_many_look_on(server: PageServer) -> None:
    heard: list[int] = []
    server.on_sent = lambda sent: heard.append(sent["seq"])

    async def main() -> None:
        async with aiohttp.ClientSession(headers={"Origin": server.url.rstrip("/")}) as session:
            sockets = [await session.ws_connect(server.url + "live") for _ in range(3)]
            for socket in sockets:
                await socket.send_str("next")
                server.status({"captured": 0})
                while (await socket.receive()).type is not aiohttp.WSMsgType.TEXT:
                    pass
            server.publish(b"x", header(9))
            for socket in sockets:
                message = await socket.receive()
                while message.type is aiohttp.WSMsgType.TEXT:
                    message = await socket.receive()
                assert parse(message.data)[0]["seq"] == 9
                await socket.close()

    run_async(main())
    assert heard == [9] and [seq for _, seq, _ in server.take_latencies()] == [9]


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_a_foreign_web_site_may_not_read_frames(server: PageServer, origin: str | None) -> None:
    async def main() -> int:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(server.url + "live", origin=origin)
            return caught.value.status

    assert run_async(main()) == 403


def test_a_foreign_host_name_is_refused(server: PageServer) -> None:
    assert get(server.url, Host=f"evil.example:{server.port}")[0] == 403
    assert get(server.url, Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize("path", ["", "page.js", "page.css"])
def test_the_page_needs_nothing_from_elsewhere(server: PageServer, path: str) -> None:
    status, text, headers = get(server.url + path)
    assert status == 200
    assert "https://" not in text and "//cdn" not in text and "style=" not in text
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_the_page_says_that_it_is_no_medical_device(server: PageServer) -> None:
    said = "Research software. Not a medical device. Not for diagnosis or treatment decisions."
    assert said in get(server.url)[1]


def test_a_port_in_use_is_one_sentence(server: PageServer) -> None:
    second = PageServer(server.port)
    with pytest.raises(OSError, match=f"^port {server.port} is in use; .* or choose --port N$"):
        second.start()
    assert get(server.url)[0] == 200


def test_only_this_machine_may_look() -> None:
    with pytest.raises(ValueError, match="this machine only"):
        PageServer(0, host="0.0.0.0")


def test_stopping_closes_the_browsers_and_leaves_no_thread() -> None:
    before = threading.active_count()
    server = PageServer(0)
    server.start()

    async def look(socket: Socket) -> None:
        await asyncio.get_running_loop().run_in_executor(None, server.stop)
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE

    looking(server, look)
    server.stop()
    server.publish(b"x", header(1))
    assert threading.active_count() <= before


def watched(says: State) -> Watched:
    tally = Tally(shown=3, states={"TEAR_OUTLINED": 2, "NO_RESULT": 1}, latencies={80: 2, 300: 1})
    tally.attached["1"] = Trail(1, 5, {"newer frame at the engine": 2})
    return Watched(says, tally, 4, {"backend": "openvino"})


@pytest.mark.parametrize(
    ("says", "status"),
    [
        (State.TEAR_OUTLINED, 200),
        (State.UNSURE, 200),
        (State.NO_TEAR_OUTLINED, 200),
        (State.NO_RESULT, 503),
        (State.STALE, 503),
    ],
)
def test_health_is_told_by_what_is_said_of_the_picture(says: State, status: int) -> None:
    server = PageServer(0, routes=routes(lambda: watched(says)))
    server.start()
    code, text, _ = get(server.url + "healthz")
    server.stop()
    assert (code, json.loads(text)["state"]) == (status, says.value)


def test_metrics_are_what_prometheus_reads() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    server = PageServer(0, routes=routes(lambda: watched(State.UNSURE)))
    server.start()
    code, text, _ = get(server.url + "metrics")
    refused, _, _ = get(server.url + "metrics", Host="evil.example")
    server.stop()
    assert (code, refused) == (200, 403)
    read = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert read["smartca_frames_shown_total", "tear outlined"] == 2
    assert read["smartca_frames_captured_total",] == 5
    assert read["smartca_frames_dropped_total", "newer frame at the engine"] == 2
    assert read["smartca_messages_refused_total",] == 4
    assert read["smartca_state", "unsure"] == 1 and read["smartca_state", "stale"] == 0
    assert read["smartca_latency_seconds_bucket", "0.01"] == 2 and read["smartca_latency_seconds_count",] == 3
    assert read["smartca_latency_seconds_sum",] == pytest.approx(0.046)
