"""A real RTSP server (GStreamer's, of Debian's gir1.2-gst-rtsp-server-1.0), and FFmpeg as a sender of anything else."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.igtl import free_port
from support.waiting import wait_until

PYTHON = "/usr/bin/python3"  # the one that Debian's python3-gi belongs to
ASKS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtsp, GstRtspServer, GLib

port, user, password, transport = sys.argv[1:5]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
if transport == "udp":
    factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
if user:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.new_from_string("user, media.factory.access=(boolean)true, media.factory.construct=(boolean)true")
    )
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def has_rtsp_server() -> bool:
    """Whether GStreamer's RTSP server is installed, with Python's way to it."""
    return Path(PYTHON).exists() and subprocess.run([PYTHON, "-c", ASKS], capture_output=True).returncode == 0


def has_ffmpeg() -> bool:
    """Whether the ffmpeg program is there."""
    return shutil.which("ffmpeg") is not None


@contextlib.contextmanager
def rtsp_server(port: int = 0, user: str = "", password: str = "", transport: str = "tcp") -> Iterator[int]:
    """A moving ball, 30 frames a second, at rtsp://127.0.0.1:PORT/live; gives the port."""
    port = port or free_port()
    command = [PYTHON, "-c", SERVER, str(port), user, password, transport]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield port


@contextlib.contextmanager
def running(command: list[str], stdout: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    """A program, killed at the end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def ffmpeg_sends(to: str, *form: str, size: str = "320x240", filters: str = "null") -> Iterator[None]:
    """FFmpeg's test picture, at its own pace, to an address, as MPEG-TS unless `form` says otherwise."""
    encoder = form or ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-f", "mpegts")
    source = f"testsrc=size={size}:rate=30,{filters}"
    command = ["ffmpeg", "-loglevel", "quiet", "-re", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
    with running([*command, *encoder, to]) as process:
        wait_until(lambda: process.poll() is None)
        yield
