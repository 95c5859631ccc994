"""Network video (RTSP, MJPEG and HLS over HTTP, MPEG-TS over UDP, SRT) as a source, by PyAV: the newest frame only."""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, quote, urlsplit

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ....errors import FileError, InputError
from ....pictures.films import pixel_width_of, played_stream, shown_pixels
from ..contract import Picture, Shape, Source
from .fields import one_field
from .newest import Newest, same_size

log = logging.getLogger(__name__)
SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "srt")
PASSWORD = "SMARTCA_FEED_PASSWORD"  # of the environment: a command line can be read by everybody on a machine
OPEN_S, SILENT_S = 5.0, 3.0
_HLS_SILENT_S = 15.0  # a list is asked for anew once a segment, and segments last seconds
_LATE_S, _ALL_LATE_S = 0.5, 3.0  # behind the quickest frames: what lay in a buffer is not the present
_DRIFT = 1e-3  # seconds a second that two clocks may part
_QUICK = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "1000000", "analyzeduration": "1000000"}
_OVER_HTTP = {"protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,data", "live_start_index": "-1"}
_OVER_RTSP = {"protocol_whitelist": "rtsp,rtp,srtp,rtcp,udp,tcp,tls", "rtsp_flags": "prefer_tcp"}
_ALONE = {"overrun_nonfatal": "1", "fifo_size": "28672"}  # packets of 188 bytes: 5 MB
_WORDS = {
    av.error.HTTPUnauthorizedError: "it wants another user or password: rtsp://USER:PASSWORD@HOST/..., or USER@ and "
    f"the password in {PASSWORD}",
    av.error.HTTPForbiddenError: "this user may not see it",
    av.error.HTTPNotFoundError: "it has no such path",
    av.error.ExitError: "nothing comes",
    av.error.TimeoutError: "nothing comes",
}


class NetworkVideo(Source):
    """The video at `url`. Its name holds neither user nor password nor what stands behind a question mark.

    Raises ValueError for what is no address or no live video, OSError where nothing can be had; neither says more of
    the address than the name.
    """

    live = True
    endless = True

    def __init__(self, url: str) -> None:
        parts = _parts(url)
        self.name = public_name(parts)
        self._container = _opened(parts, self.name)
        try:
            self._stream = _live_stream(self._container, self.name)
        except BaseException:
            self._container.close()
            raise
        rate = self._stream.average_rate
        self.fps = float(rate) if rate and 1 <= rate <= 1000 else None
        self._width = pixel_width_of(self._stream)
        self._frames = self._decoded()
        self._pace = Pace(self._container.format.name == "hls")
        patience = _HLS_SILENT_S if self._pace.paced else SILENT_S
        self._feed = Newest(self._next, lambda: self._lost("nothing has come"), patience, self._container.close)
        if self._pace.paced:
            log.warning("%s is HLS, which comes seconds late by its making; RTSP does not", self.name)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Pictures from now on; what was sent before cannot be had, so `start` means nothing."""
        zero: float | None = None
        shape: Shape | None = None
        for frame in self._feed.each():
            pixels = self._pixels(frame)
            shape = same_size(pixels, shape, self.name)
            zero = frame.time if zero is None else zero
            since = None if frame.time is None or zero is None else round((frame.time - zero) * 1e9)
            yield Picture(pixels, media_ns=since if since is not None and since >= 0 else None)

    def close(self) -> None:
        """See `Source.close`."""
        self._feed.close()

    def _pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        pixels = shown_pixels(frame, self._width)
        return one_field(pixels) if frame.interlaced_frame else pixels

    def _lost(self, why: str) -> str:
        return f"{self.name} sends no more pictures ({why}); check the network, or start it again"

    # ---- in the feed's thread ----

    def _next(self) -> VideoFrame | None:
        """The next frame, None for one that is late. Raises FileError once the feed is lost."""
        try:
            frame = next(self._frames, None)
        except av.error.FFmpegError as error:
            raise FileError(self._lost(_why(error))) from None  # FFmpeg's words hold the whole address
        if frame is None:
            raise FileError(self._lost("it has ended"))
        kept = self._pace.keeps(frame.time, time.monotonic(), lambda: self._feed.closed)
        if self._pace.all_late:
            raise FileError(f"{self.name} has fallen behind; it is attached anew")
        return frame if kept else None

    def _decoded(self) -> Iterator[VideoFrame]:
        for packet in self._container.demux(self._stream):
            try:
                yield from self._stream.codec_context.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:  # a packet that was damaged on the way; the silence rule ends a worse feed
                log.debug("%s: a packet does not decode", self.name)


class Pace:
    """Which frames are the present, by their own times: what waited in a buffer is behind the quickest ones.

    paced: they come in heaps, as HLS's do, and are held back until their time.
    """

    def __init__(self, paced: bool) -> None:
        self.paced = paced
        self.all_late = False
        self._quickest: float | None = None  # seconds from a frame's own time to when it came, at the least
        self._way = self._asked = self._kept = 0.0  # of the frame before; when it came; when one was last kept

    def keeps(self, media_s: float | None, now: float, closed: Callable[[], bool] = lambda: False) -> bool:
        """Whether the frame of this time, which came at `now`, is to be shown. Waits for its time if paced."""
        if media_s is None:
            return True
        way = now - media_s
        if self._quickest is None:
            self._quickest, self._way, self._asked, self._kept = way, way, now, now
        if self.paced:
            while (wait := self._quickest + media_s - time.monotonic()) > 0 and not closed():
                time.sleep(min(wait, 0.2))
            return True
        jump, since = way - self._way, now - self._asked
        if jump > _LATE_S > 2 * since:  # it came as soon as any, so the sender's clock was set back
            self._quickest += jump
        self._quickest = min(way, self._quickest + since * _DRIFT)
        self._way, self._asked = way, now
        if way - self._quickest <= _LATE_S:
            self._kept = now
            return True
        self.all_late = now - self._kept > _ALL_LATE_S
        return False


def public_name(parts: SplitResult) -> str:
    """The address as it may be shown: without user, password, and what stands behind a question mark."""
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    path = "/..." if "@" in parts.path else parts.path  # of a password with a stroke in it the rest stands there
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{path}"


def _parts(url: str) -> SplitResult:
    parts = port = None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port or a bracket that is none; its words may hold a password
        parts = None
    if parts is None or not (parts.hostname or (port and parts.scheme in ("udp", "srt"))):
        scheme = url.split(":")[0]
        raise InputError(f"what stands behind {scheme}: is no address; write {scheme}://HOST:PORT/PATH")
    return parts


def _with_password(parts: SplitResult) -> str:
    password = os.environ.get(PASSWORD)
    if not parts.username or parts.password is not None or password is None:
        return parts.geturl()
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(parts.username, safe='%')}:{quote(password, safe='')}@{place}").geturl()


def _opened(parts: SplitResult, name: str) -> InputContainer:
    options = dict(_QUICK)
    options |= _OVER_RTSP if parts.scheme in ("rtsp", "rtsps") else {}
    options |= _OVER_HTTP if parts.scheme in ("http", "https") else {}
    options |= _ALONE if parts.scheme == "udp" else {}
    if parts.scheme in ("rtsps", "https"):  # FFmpeg would take any certificate, and give it the password
        options |= {"tls_verify": "1", "ca_file": ssl.get_default_verify_paths().cafile or ""}
    try:
        return av.open(_with_password(parts), options=options, timeout=(OPEN_S, SILENT_S), metadata_errors="replace")
    except av.error.ProtocolNotFoundError:
        raise InputError(
            f"{name} cannot be read: this PyAV was built without {parts.scheme.upper()}; pass it on with "
            f"`ffmpeg -i {parts.scheme}://... -c copy -f mpegts udp://127.0.0.1:5000` and give udp://127.0.0.1:5000"
        ) from None
    except (av.error.FFmpegError, ValueError, UnicodeError) as error:
        raise FileError(f"{name} cannot be opened ({_why(error)}); check the address, and that it is on") from None


def _live_stream(container: InputContainer, name: str) -> VideoStream:
    stream = played_stream(container)
    if stream is None or stream.codec_context is None:
        raise InputError(f"{name} holds no video that can be read; give the address of its video")
    if container.duration is not None and container.duration > 0:
        raise InputError(f"{name} is a recording, no live feed; download it and give the file")
    stream.codec_context.thread_count = 1  # nothing else may compute beside the engine, and frames' threads wait
    return stream


def _why(error: Exception) -> str:
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    return getattr(error, "strerror", None) or type(error).__name__
