"""The live page's server: newest wins for every browser, on this machine only.

One websocket, /live. A frame is ONE binary message, so that picture and outline can never part:
4 bytes (big-endian length of the header), the header as JSON, the picture as JPEG. A change of
state without a new frame is a text message, JSON. A browser sends the text `next` when it has
drawn; until then the server holds only the newest frame for it. A status goes out at once.
It sends `point NAME` to ask for an operating point; anything else is passed over.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from .... import logs
from ....engine.operating_point import POINT_NAMES, PointName
from ....errors import FileError, InputError
from .metrics import Routes

log = logging.getLogger(__name__)
PageHeader = dict[str, Any]

_LENGTH = struct.Struct(">I")
_LOOPBACK = ("127.0.0.1", "localhost")
_ENDS_OUTLINE = ("no result", "stale")
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


class _Frame:
    """An encoded frame on its way; `sent` once the first browser has it."""

    __slots__ = ("header", "jpeg", "sent", "text")

    def __init__(self, jpeg: bytes, header: PageHeader) -> None:
        self.jpeg, self.header, self.sent = jpeg, header, False
        self.text = msgspec.json.encode(header)

    def stamped(self) -> tuple[bytes, float]:
        """The message's bytes and the latency in them (ms from capture until now), taken last of all."""
        latency_ms = (time.monotonic_ns() - self.header["captured_local_ns"]) / 1e6
        text = b'%b,"latency_ms":%.3f}' % (self.text[:-1], latency_ms)
        return b"".join((_LENGTH.pack(len(text)), text, self.jpeg)), latency_ms


class _Browser:
    """What waits for one browser: at most the newest frame and the newest status."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.frame: _Frame | None = None
        self.status: bytes | None = None
        self.ready = False  # it has drawn what it was given
        self.wake = asyncio.Event()

    def offer(self, frame: _Frame | None, status: bytes | None, ends: bool) -> None:
        """Take what is new; a status that ends the outline also ends the frames before it."""
        if frame is not None or ends:
            self.frame = frame
        if status is not None:
            self.status = status
        self.wake.set()


class PageServer:
    """Serves the page from a thread and an event loop of its own.

    `on_point(name)` is called in that thread whenever a browser asks for an operating point.
    `on_sent(header)` is called in that thread whenever a frame has first been handed to a browser's
    socket; the header then holds `latency_ms`. `routes` are more addresses, and what answers there.
    A bug in that thread is raised by the next `publish` or `status`.
    """

    def __init__(
        self,
        port: int = 8765,
        host: str = "127.0.0.1",
        on_sent: Callable[[PageHeader], None] | None = None,
        on_point: Callable[[PointName], None] | None = None,
        routes: Routes | None = None,
    ) -> None:
        if host not in _LOOPBACK:
            raise InputError(f"the page is for this machine only: its host is 127.0.0.1, not {host}")
        self.host, self.port, self.on_sent, self.on_point = host, port, on_sent, on_point
        self._routes = routes or {}
        self._browsers: set[_Browser] = set()
        self._latencies: deque[tuple[int, int, float]] = deque(maxlen=65536)
        self._last_status: bytes | None = None
        self._bug: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # while the thread runs
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._up = threading.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """What people open."""
        return f"http://{self.host}:{self.port}/"

    @property
    def browsers(self) -> int:
        """How many look on at the moment."""
        return len(self._browsers)

    def start(self) -> None:
        """Listen; with port 0 the system picks one, then found in `port`. OSError if it cannot be had."""
        self._thread.start()
        self._up.wait()
        assert self._loop is not None
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except OSError as error:
            self.stop()
            if error.errno == errno.EADDRINUSE:
                raise FileError(f"port {self.port} is in use; close the other program or choose --port N") from error
            raise FileError(
                f"port {self.port} cannot be opened ({error.strerror}); choose another with --port N"
            ) from error

    def publish(self, jpeg: bytes, header: PageHeader) -> None:
        """Offer a frame to every browser; returns at once. Called from the view's thread.

        `header` must hold `captured_local_ns`, the capture in `time.monotonic_ns()` of this machine.
        """
        self._last_status = None
        self._offer(_Frame(jpeg, header), None, False)

    def status(self, header: PageHeader) -> None:
        """Tell every browser of a change without a frame; 'no result' and 'stale' end any outline."""
        message = msgspec.json.encode(header)
        self._last_status = message
        self._offer(None, message, header.get("state") in _ENDS_OUTLINE)

    def take_latencies(self) -> list[tuple[int, int, float]]:
        """(epoch, seq, ms from capture to the page's socket) of each frame sent since the last call."""
        taken: list[tuple[int, int, float]] = []
        while self._latencies:
            taken.append(self._latencies.popleft())
        return taken

    def stop(self) -> None:
        """Close every browser's socket and the port; it may be called twice."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()

    def _run(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        loop.set_exception_handler(self._uncaught)
        loop.call_soon(self._up.set)
        loop.run_forever()
        loop.close()

    def _uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback or a task ended with; a connection that breaks is the browser's affair."""
        error = context.get("exception")
        if error is not None and logs.ours(error) and not isinstance(error, OSError):
            self._bug = error
        else:
            log.info("page server", extra={"event": context.get("message", ""), "why": type(error).__name__})

    def _offer(self, frame: _Frame | None, status: bytes | None, ends: bool) -> None:
        if self._bug is not None:
            raise self._bug
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._spread, frame, status, ends)

    def _spread(self, frame: _Frame | None, status: bytes | None, ends: bool) -> None:
        for browser in self._browsers:
            browser.offer(frame, status, ends)

    async def _listen(self) -> None:
        app = web.Application(middlewares=[self._guard])
        for path in _FILES:
            app.router.add_get(path, self._page)
        for path in self._routes:
            app.router.add_get(path, self._spoken)
        app.router.add_get("/live", self._live)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        log.info("the page is served", extra={"port": self.port})

    async def _close(self) -> None:
        for browser in list(self._browsers):
            await browser.socket.close(code=1001, message=b"the viewer has ended")
        if self._runner is not None:
            await self._runner.cleanup()

    def _own(self, scheme: str = "") -> list[str]:
        return [f"{scheme}{name}:{self.port}" for name in _LOOPBACK]

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuse what another web site makes a browser ask: a foreign Host (DNS rebinding) or Origin."""
        origin = request.headers.get("Origin")
        own = origin in self._own("http://") or (origin is None and request.path != "/live")
        if request.host not in self._own() or not own:
            return web.Response(status=403, text=f"refused: open the page at {self.url}\n")
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as bug:  # aiohttp would answer 500, and nobody would hear of it
            self._bug = bug
            raise

    async def _page(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        sockets = " ".join(self._own("ws://"))
        return web.Response(
            text=(Path(__file__).parent / name).read_text("utf-8"),
            content_type=kind,
            headers={
                "Content-Security-Policy": "default-src 'self'; img-src blob: 'self'; "
                f"connect-src 'self' {sockets}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-store",
            },
        )

    async def _spoken(self, request: web.Request) -> web.Response:
        status, text, kind = self._routes[request.path]()
        return web.Response(status=status, text=text, content_type=kind, headers={"Cache-Control": "no-store"})

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=0.5, compress=False, max_msg_size=1024)
        await socket.prepare(request)
        browser = _Browser(socket)
        browser.offer(None, self._last_status, False)
        self._browsers.add(browser)
        log.info("a browser came", extra={"browsers": len(self._browsers)})
        sender = asyncio.create_task(self._send(browser))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(browser, message.data)
        finally:
            self._browsers.discard(browser)
            log.info("a browser left", extra={"browsers": len(self._browsers)})
            sender.cancel()
        return socket

    def _hear(self, browser: _Browser, words: str) -> None:
        if words == "next":
            browser.ready = True
            browser.wake.set()
        for name in POINT_NAMES:
            if words == f"point {name}" and self.on_point is not None:
                log.info("a browser asks for another point", extra={"point": name})
                self.on_point(name)

    async def _send(self, browser: _Browser) -> None:
        try:
            while True:
                await browser.wake.wait()
                browser.wake.clear()
                if browser.status is not None:
                    status, browser.status = browser.status, None
                    await browser.socket.send_str(status.decode())
                if browser.ready and browser.frame is not None:
                    frame, browser.frame, browser.ready = browser.frame, None, False
                    message, latency_ms = frame.stamped()
                    await browser.socket.send_bytes(message)
                    self._note(frame, latency_ms)
        except ConnectionError:  # it has gone; its reader ends by itself
            pass
        except Exception as bug:
            self._bug = bug

    def _note(self, frame: _Frame, latency_ms: float) -> None:
        if frame.sent:
            return
        frame.sent = True
        self._latencies.append((frame.header["epoch"], frame.header["seq"], latency_ms))
        if self.on_sent is not None:
            self.on_sent({**frame.header, "latency_ms": latency_ms})
