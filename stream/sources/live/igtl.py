"""An OpenIGTLink server (PLUS, 3D Slicer, a scanner) as a source: the IMAGE messages of one of its devices."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from ....errors import FileError, InputError, SmartcaError, printable, sentence
from ....pictures.depth import Depth
from ...igtl.address import IgtlAddress, parse_igtl
from ...igtl.messages import HEADER, Header, IgtlImage, igtl_header, igtl_image, need_pyigtl
from ..contract import Picture, Source
from .newest import Newest

log = logging.getLogger(__name__)
CONNECT_S = 3.0
SILENT_S = 5.0  # without a picture: the feed is lost
_WAIT_S = 0.5
_NAMES = 8  # devices to name in a sentence
_SAME = 1e-4  # a smaller change of the millimetres is rounding


class OpenIgtLink(Source):
    """Pictures as they stand in the message: columns to the right, rows down, which PLUS calls MF.

    `mm_per_pixel` is the length of the matrix's axes. Where the picture lies in the room is not used. Raises OSError
    where nobody answers or no picture comes, ValueError for an address that is none.
    """

    live = True
    endless = True

    def __init__(self, rest: str) -> None:
        need_pyigtl()
        self.address = parse_igtl(rest)
        self._device, self._others = self.address.device, list[str]()
        self._socket = _connected(self.address)
        self._depth = Depth(signed=True)
        self._feed = Newest(self._next, self._silent, SILENT_S)
        try:
            first = self._feed.take()
            assert first is not None
            image = self._image(*first)
        except BaseException:
            self.close()
            raise
        self.name = f"{printable(self._device) or 'OpenIGTLink'} at {self.address}"
        self.mm_per_pixel, self._shape = image.mm_per_pixel, image.pixels.shape
        if image.mm_per_pixel is None:
            log.warning("%s is sent without a calibration: no millimetres are known", self.name)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Pictures from now on; what was sent before cannot be had, so `start` means nothing."""
        zero: int | None = None
        for header, body in self._feed.each():
            image = self._image(header, body)
            self._refuse_change(image)
            zero = header.time_ns if zero is None else zero
            since = None if header.time_ns is None or zero is None else header.time_ns - zero
            yield Picture(image.pixels, media_ns=since if since is not None and since >= 0 else None)

    def close(self) -> None:
        """See `Source.close`."""
        with suppress(OSError):  # it may be lost, or closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._feed.close()
        self._socket.close()

    def _image(self, header: Header, body: bytes) -> IgtlImage:
        try:
            return igtl_image(header, body, self._depth)
        except SmartcaError as error:
            raise FileError(f"OpenIGTLink at {self.address}: {sentence(error)}") from error

    def _refuse_change(self, image: IgtlImage) -> None:
        """A picture of another size or scale begins a feed of its own: the frames before keep their millimetres."""
        old, new = self.mm_per_pixel, image.mm_per_pixel
        same = old is new or (old is not None and new is not None and np.allclose(old, new, rtol=_SAME, atol=0))
        if not same or image.pixels.shape != self._shape:
            raise FileError(f"{self.name} has changed its size or depth; it is attached anew")

    def _silent(self) -> str:
        what = f"IMAGE of the device '{self._device}'" if self._device else "IMAGE"
        others = f" (only of {', '.join(map(printable, self._others))})" if self._others else ""
        return (
            f"OpenIGTLink at {self.address} sends no {what}{others}: nothing for {SILENT_S:.0f} s; start its "
            f"acquisition{', or give the right device' if self._others else ''}"
        )

    # ---- in the feed's thread ----

    def _next(self) -> tuple[Header, bytes] | None:
        """The next message, if it is one of our pictures; others are read past."""
        try:
            header = igtl_header(self._bytes(HEADER.size))
        except InputError as error:
            raise FileError(f"OpenIGTLink at {self.address}: {sentence(error)}") from error
        if header.kind == "IMAGE" and header.device == (self._device or header.device):
            self._device = header.device  # of several the first that came, never two in turns
            return header, self._bytes(header.size)
        if header.kind == "IMAGE" and header.device not in self._others and len(self._others) < _NAMES:
            self._others.append(header.device)
        for done in range(0, header.size, 1 << 16):
            self._bytes(min(1 << 16, header.size - done))
        return None

    def _bytes(self, count: int) -> bytes:
        """Exactly `count` bytes. Raises FileError when the connection is lost, or stands still within a message."""
        data = bytearray(count)
        rest, moved = memoryview(data), time.monotonic()
        while len(rest):
            try:
                got = self._socket.recv_into(rest)
            except TimeoutError:
                if time.monotonic() - moved < 2 * SILENT_S:
                    continue
                got = 0
            except OSError:
                got = 0
            if not got:
                raise FileError(f"OpenIGTLink at {self.address} has ended the connection; start it again")
            rest, moved = rest[got:], time.monotonic()
        return bytes(data)


def _connected(address: IgtlAddress) -> socket.socket:
    try:
        connection = socket.create_connection((address.host, address.port), CONNECT_S)
    except (OSError, UnicodeError) as error:
        why = (
            "it does not answer"
            if isinstance(error, TimeoutError)
            else getattr(error, "strerror", "") or "no such host"
        )
        raise FileError(
            f"there is no OpenIGTLink server at {address} ({why}); start it, or check host and port"
        ) from error
    connection.settimeout(_WAIT_S)
    return connection
