"""OpenIGTLink's other side: pyigtl's own server in a process of its own, and one of raw bytes for what is wrong."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

SERVER = """
import itertools, json, sys, time
import numpy as np
import pyigtl

port, options = int(sys.argv[1]), json.loads(sys.argv[2])
server = pyigtl.OpenIGTLinkServer(port=port, local_server=True)
print("ready", flush=True)
shape, matrix = options.get("shape", [1, 48, 64]), options.get("matrix")
dtype, version = np.dtype(options.get("dtype", "uint8")), options.get("version", 1)
for number in itertools.count():
    if not server.is_connected():
        time.sleep(0.005)
        continue
    image = np.full(shape, options.get("level", 40), dtype)
    image[:, :8, :16] = options.get("corner", 200)
    for device in options.get("devices", ["Image_Probe"]):
        message = pyigtl.ImageMessage(image, matrix, timestamp=1000.0 + number / 50, device_name=device)
        message.header_version = version
        if version > 1:
            message.metadata = {"ImageOrientation": "MF", "FrameNumber": str(number)}
        server.send_message(message, wait=False)
    server.send_message(pyigtl.TransformMessage(np.eye(4), device_name="ProbeToTracker"), wait=False)
    if number == options.get("stop_after"):
        time.sleep(0.5)
        break
    time.sleep(0.02)
time.sleep(options.get("linger", 0))
"""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def pyigtl_server(options: str = "{}", port: int = 0) -> Iterator[int]:
    """pyigtl's server, which sends an image about 50 times a second; gives its port."""
    port = port or free_port()
    command = [sys.executable, "-c", SERVER, str(port), options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield port
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Hands every connection to `serve` in turn, and closes it behind that; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()
        server.settimeout(0.05)

        def run() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection, contextlib.suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ended.set()
            thread.join(20)
            assert not thread.is_alive()
