"""One end of a peer's transport, for `transport.py`: run by the Python that has imagezmq, vidgear and pyigtl.

    python transport_peer.py send|receive NAME PORT FPS SECONDS CONSUME_MS

The sender has a camera: a thread that makes a new picture at each tick, of which the newest is sent when the transport
takes it. The first 16 bytes of a picture are its number and the nanosecond of its capture (one machine, one clock). The
receiver prints the ages of what it received, in ms, one a line.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
SHAPE = (480, 640)


class Camera:
    """Newest wins."""

    def __init__(self, fps: float) -> None:
        self._noise = np.random.default_rng(1).integers(0, 255, (8, *SHAPE), np.uint8)
        self._fps, self._new = fps, threading.Condition()
        self._picture: Picture | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        due, number = time.monotonic(), 0
        while True:
            picture = self._noise[number % 8].copy()
            picture[0, :16] = np.array([number, time.monotonic_ns()], np.int64).view(np.uint8)
            with self._new:
                self._picture = picture
                self._new.notify()
            number += 1
            due += 1 / self._fps
            time.sleep(max(0.0, due - time.monotonic()))

    def take(self) -> Picture:
        """The newest picture that was not taken yet."""
        with self._new:
            while self._picture is None:
                self._new.wait()
            picture, self._picture = self._picture, None
            return picture


def age_ms(picture: Picture) -> float:
    """Since its capture."""
    return (time.monotonic_ns() - int(np.ascontiguousarray(picture).ravel()[:16].view(np.int64)[1])) / 1e6


def sender(name: str, port: int) -> Callable[[Picture], object]:
    """What sends one picture."""
    if name.startswith("imagezmq"):
        import imagezmq  # pyright: ignore[reportMissingImports]

        if name.endswith("REQ/REP"):
            sending = imagezmq.ImageSender(f"tcp://127.0.0.1:{port}", REQ_REP=True)
        else:
            sending = imagezmq.ImageSender(f"tcp://127.0.0.1:{port}", REQ_REP=False)
        return lambda picture: sending.send_image("camera", picture)
    if name.startswith("vidgear"):
        from vidgear.gears import NetGear  # pyright: ignore[reportMissingImports]

        gear = NetGear(address="127.0.0.1", port=str(port), protocol="tcp", pattern=0, jpeg_compression=False)
        return gear.send
    import pyigtl  # pyright: ignore[reportMissingImports]

    server = pyigtl.OpenIGTLinkServer(port=port, local_server=True)
    while not server.is_connected():
        time.sleep(0.05)
    return lambda picture: server.send_message(pyigtl.ImageMessage(picture[None], device_name="camera"))


def receiver(name: str, port: int) -> Callable[[], Picture | None]:
    """What receives one picture."""
    if name.startswith("imagezmq"):
        import imagezmq  # pyright: ignore[reportMissingImports]

        if name.endswith("REQ/REP"):
            hub = imagezmq.ImageHub(f"tcp://127.0.0.1:{port}", REQ_REP=True)

            def answered() -> Picture:
                _, picture = hub.recv_image()
                hub.send_reply()
                return picture

            return answered
        listening = imagezmq.ImageHub(f"tcp://127.0.0.1:{port}", REQ_REP=False)
        return lambda: listening.recv_image()[1]
    if name.startswith("vidgear"):
        from vidgear.gears import NetGear  # pyright: ignore[reportMissingImports]

        gear = NetGear(
            address="127.0.0.1", port=str(port), protocol="tcp", pattern=0, receive_mode=True, jpeg_compression=False
        )
        return gear.recv
    import pyigtl  # pyright: ignore[reportMissingImports]

    client = pyigtl.OpenIGTLinkClient("127.0.0.1", port)

    def newest() -> Picture | None:
        message = client.wait_for_message("camera", timeout=2)
        return None if message is None else np.ascontiguousarray(message.image).reshape(SHAPE)

    return newest


def main() -> None:
    """See the module's words."""
    logging.disable()
    role, name, port, fps, seconds, consume = sys.argv[1], sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:7])
    if role == "send":
        send, camera = sender(name, port), Camera(fps)
        while True:
            send(camera.take())
    receive, until, ages = receiver(name, port), 0.0, []
    while not until or time.monotonic() < until:
        picture = receive()
        if picture is None:
            continue
        until = until or time.monotonic() + seconds
        ages.append(age_ms(picture))
        time.sleep(consume / 1e3)
    print(*(f"{age:.3f}" for age in ages), sep="\n", flush=True)
    sys.stdout.flush()
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
