"""Network video of real senders: GStreamer's RTSP server and FFmpeg; what fails is told without the password."""

from __future__ import annotations

import contextlib
import functools
import itertools
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from click.testing import CliRunner
from smartca.cli import root
from smartca.errors import SmartcaError
from smartca.stream.sources import Picture, is_live, open_source, without_secrets
from smartca.stream.sources.live import network
from support.igtl import free_port, raw_server
from support.live_run import live_run
from support.rtsp import ffmpeg_sends, has_ffmpeg, has_rtsp_server, rtsp_server, running
from support.waiting import wait_until

needs_rtsp = pytest.mark.skipif(not has_rtsp_server(), reason="GStreamer's RTSP server is not installed")
needs_ffmpeg = pytest.mark.skipif(not has_ffmpeg(), reason="ffmpeg is not installed")
SECRET = "s3cret-Pw"


def some(url: str, count: int = 5) -> list[Picture]:
    with open_source(url) as source:
        assert source.live and source.endless and SECRET not in source.name
        return list(itertools.islice(source.pictures(), count))


def told(url: str) -> str:
    """What a person is told; nobody is told the password, not by the errors behind it either."""
    begun = time.monotonic()
    with pytest.raises((OSError, ValueError)) as caught, open_source(url) as source:
        for _ in source.pictures():
            pass
    words, error = str(caught.value), caught.value
    assert isinstance(error, SmartcaError) and "\n" not in words and "Errno" not in words and len(words) < 320
    assert SECRET not in words and error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__  # whose words hold the whole address
    assert time.monotonic() - begun < 30
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "feed"])
    return words


@needs_rtsp
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_gives_moving_pictures_with_their_times(transport: str) -> None:
    with rtsp_server(transport=transport) as port:
        found = some(f"rtsp://127.0.0.1:{port}/live", 20)
    assert {picture.pixels.shape for picture in found} == {(240, 320, 3)}
    assert len({picture.pixels.tobytes() for picture in found}) > 10
    times = [picture.media_ns or 0 for picture in found]
    assert times[0] == 0 and times == sorted(times) and 0.3e9 < times[-1] < 10e9


@needs_rtsp
def test_a_consumer_that_is_slow_gets_the_newest() -> None:
    with rtsp_server() as port, open_source(f"rtsp://127.0.0.1:{port}/live") as source:
        stream = iter(source.pictures())
        first = next(stream).media_ns
        time.sleep(1.5)
        second = next(stream).media_ns
    assert first is not None and second is not None and second - first > 1.0e9


@needs_rtsp
def test_user_and_password_are_used_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with rtsp_server(user="sono", password=SECRET) as port:
        address = f"127.0.0.1:{port}/live"
        assert len(some(f"rtsp://sono:{SECRET}@{address}?token={SECRET}")) == 5
        assert "wants another user or password" in told(f"rtsp://sono:x{SECRET}@{address}")
        assert "wants another user or password" in told(f"rtsp://{address}")
        monkeypatch.setenv(network.PASSWORD, SECRET)
        assert len(some(f"rtsp://sono@{address}")) == 5
        assert "has no such path" in told(f"rtsp://sono@127.0.0.1:{port}/other")
        with open_source(f"rtsp://sono@{address}") as source:
            assert source.name == f"rtsp://{address}"


@needs_rtsp
def test_a_run_shows_stale_while_the_feed_is_gone_and_tells_no_password(tmp_path: Path, network: Path) -> None:
    port = free_port()
    server = contextlib.ExitStack()
    server.enter_context(rtsp_server(port, "sono", SECRET))
    url = f"rtsp://sono:{SECRET}@127.0.0.1:{port}/live?key={SECRET}"
    options = ("--headless", "--model", network, "--crop", "0,0,320,240", "--record", "film.mp4", "-v")
    with server, live_run(tmp_path, url, *options) as run:
        run.wait_for("a feed is shown")
        server.close()
        run.wait_for("nothing new to show")
        with rtsp_server(port, "sono", SECRET):
            run.wait_for("a feed is shown", 2)
        report = run.stop()
    assert report["states"]["stale"] >= 1
    assert f"rtsp://127.0.0.1:{port}/live" in run.logged() and "sends no more pictures" in run.said
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file.name
    assert SECRET not in run.said


@needs_ffmpeg
def test_udp_gives_pictures_and_ends_when_the_sender_does() -> None:
    port = free_port()
    with ffmpeg_sends(f"udp://127.0.0.1:{port}"), open_source(f"udp://127.0.0.1:{port}") as source:
        assert {p.pixels.shape for p in itertools.islice(source.pictures(), 5)} == {(240, 320, 3)}
    sender = contextlib.ExitStack()
    sender.enter_context(ffmpeg_sends(f"udp://127.0.0.1:{port}"))
    with sender, open_source(f"udp://127.0.0.1:{port}") as source:
        stream = iter(source.pictures())
        next(stream)
        sender.close()
        with pytest.raises(OSError, match=r"sends no more pictures|has fallen behind"):  # as a busy machine may have
            list(stream)


@needs_ffmpeg
def test_motion_jpeg_over_http() -> None:
    port = free_port()
    form = ("-c:v", "mjpeg", "-f", "mpjpeg", "-listen", "1")
    with ffmpeg_sends(f"http://127.0.0.1:{port}", *form):
        wait_until(lambda: _listens(port))
        assert {p.pixels.shape for p in some(f"http://127.0.0.1:{port}/video.mjpg")} == {(240, 320, 3)}


@needs_ffmpeg
def test_interlaced_video_comes_without_combs() -> None:
    port = free_port()
    form = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-top", "1", "-b:v", "8M", "-g", "5", "-f", "mpegts")
    lines = "geq=lum='if(mod(Y,2),235,16)':cb=128:cr=128,setfield=tff"  # the two fields could not differ more
    with ffmpeg_sends(f"udp://127.0.0.1:{port}", *form, filters=lines):
        pixels = some(f"udp://127.0.0.1:{port}", 1)[0].pixels.astype(int)
    assert np.abs(np.diff(pixels[2:-2, 16:-16], axis=0)).mean() < 20


def _listens(port: int) -> bool:
    """Whether some process listens there, without taking its one connection."""
    wanted = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(row[1] == wanted and row[3] == "0A" for row in rows[1:])


@contextlib.contextmanager
def file_server(folder: Path, certificate: Path | None = None) -> Iterator[int]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that hung up

    with Server(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@needs_ffmpeg
@pytest.mark.timeout(180)
def test_hls_is_shown_at_its_own_pace_and_a_recording_is_refused(tmp_path: Path) -> None:
    form = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-f", "hls", "-hls_time", "1")
    form += ("-hls_list_size", "4", "-hls_flags", "delete_segments")
    with file_server(tmp_path) as port, ffmpeg_sends(str(tmp_path / "live.m3u8"), *form):
        wait_until(lambda: len(list(tmp_path.glob("*.ts"))) >= 3)
        with open_source(f"http://127.0.0.1:{port}/live.m3u8") as source:
            begun = time.monotonic()
            times = [picture.media_ns or 0 for picture in itertools.islice(source.pictures(), 60)]
            took = time.monotonic() - begun
    assert times == sorted(times) and 1.5e9 < times[-1] < 6e9  # not a heap a segment
    assert abs(took - times[-1] / 1e9) < 1.5
    whole = ["ffmpeg", "-loglevel", "quiet", "-f", "lavfi", "-i", "testsrc=duration=2", str(tmp_path / "clip.mp4")]
    with running(whole) as process:
        assert process.wait(60) == 0
    with file_server(tmp_path) as port:
        assert "is a recording, no live feed" in told(f"http://127.0.0.1:{port}/clip.mp4?key={SECRET}")
        assert "cannot be opened" in told(f"http://127.0.0.1:{port}/none.m3u8?key={SECRET}")


def test_who_is_not_there_or_says_nothing_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "OPEN_S", 1.0)
    port = free_port()
    for scheme in ("rtsp", "rtsps", "http", "https"):
        assert "cannot be opened (Connection refused)" in told(f"{scheme}://me:{SECRET}@127.0.0.1:{port}/live")
    assert "nothing comes" in told(f"udp://127.0.0.1:{port}")

    def silent(connection: socket.socket) -> None:
        connection.settimeout(5)
        while connection.recv(4096):
            pass

    for scheme in ("rtsp", "http", "https"):
        with raw_server(silent) as port:
            assert "cannot be opened" in told(f"{scheme}://me:{SECRET}@127.0.0.1:{port}/live")

    def noise(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(np.random.default_rng(1).bytes(100_000))

    for scheme in ("rtsp", "http"):
        with raw_server(noise) as port:
            assert "cannot be opened" in told(f"{scheme}://me:{SECRET}@127.0.0.1:{port}/live")


def test_a_list_of_a_stranger_cannot_open_files_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "OPEN_S", 2.0)
    clip = tmp_path / "clip.ts"
    with av.open(str(clip), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(90):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((240, 320), np.uint8), format="gray")))
        container.mux(stream.encode(None))

    def listed(line: str, port: int) -> str:
        (tmp_path / "live.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{line}\n")
        return f"http://127.0.0.1:{port}/live.m3u8"

    with file_server(tmp_path) as port:
        with open_source(listed("clip.ts", port)) as source:  # so such a list can be opened
            assert source.fps == 30
        for line in (clip.as_uri(), f"concat:{clip}", f"subfile,,start,0,end,99999,,:{clip}"):
            assert "cannot be opened" in told(listed(line, port))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_that_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem, clip = tmp_path / "own.pem", tmp_path / "clip.mkv"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", str(pem), "-out", f"{pem}.crt"], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + Path(f"{pem}.crt").read_bytes())
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((240, 320), np.uint8), format="gray")))
        container.mux(stream.encode(None))
    with file_server(tmp_path, pem) as port:
        assert "cannot be opened" in told(f"https://me:{SECRET}@127.0.0.1:{port}/clip.mkv")
        monkeypatch.setenv("SSL_CERT_FILE", f"{pem}.crt")
        assert "is a recording" in told(f"https://me:{SECRET}@127.0.0.1:{port}/clip.mkv")  # it was read


@contextlib.contextmanager
def rtsp_or_none() -> Iterator[int]:
    if not has_rtsp_server():
        yield free_port()
        return
    with rtsp_server() as port:
        yield port


def test_addresses_are_told_without_what_is_secret() -> None:
    for url in (f"rtsp://me:{SECRET}@host:port/", f"rtsp://me:{SECRET}@", "rtsp:", "http://", f"rtsp://[{SECRET}"):
        assert "is no address; write " in told(url)
    for url in (f"gopher://me:{SECRET}@host/live?x={SECRET}", f"xrtsp://me:{SECRET}/x@host/live"):
        with pytest.raises(ValueError, match="no source called") as caught:
            open_source(url)
        assert SECRET not in str(caught.value)
    with rtsp_or_none() as port:
        for command in ("evaluate --data", "build --precision int8 -o x.onnx --calibrate"):
            done = CliRunner().invoke(root, [*command.split(), f"rtsp://127.0.0.1:{port}/live?key={SECRET}"])
            assert isinstance(done.exception, SmartcaError) and SECRET not in f"{done.output} {done.exception}"
            assert ("never ends" if has_rtsp_server() else "cannot be opened") in str(done.exception)
    assert without_secrets(f"rtsp://me:{SECRET}@host/a?b={SECRET}") == "rtsp://host/a"
    assert without_secrets("clip?.mp4") == "clip?.mp4"
    assert is_live("rtsp://host/a") and not is_live("clip.mp4") and not is_live("phantom:")


@needs_ffmpeg
def test_srt_is_read_or_the_way_round_is_told() -> None:
    port = free_port()
    if not _reads_srt():
        assert "this PyAV was built without SRT; pass it on with" in told(f"srt://127.0.0.1:{port}?passphrase={SECRET}")
        sent = ffmpeg_sends(f"srt://127.0.0.1:{port}?mode=listener")  # the cure: FFmpeg's own program passes it on
        there = free_port()
        quick = ["-fflags", "nobuffer", "-analyzeduration", "500000"]
        way = ["ffmpeg", "-loglevel", "quiet", *quick, "-i", f"srt://127.0.0.1:{port}", "-c", "copy", "-f", "mpegts"]
        with sent:
            time.sleep(1.0)
            with running([*way, f"udp://127.0.0.1:{there}"]):
                assert some(f"udp://127.0.0.1:{there}", 3)[0].pixels.shape == (240, 320, 3)
    else:
        with ffmpeg_sends(f"srt://127.0.0.1:{port}?mode=listener"):
            time.sleep(1.0)
            assert some(f"srt://127.0.0.1:{port}", 3)[0].pixels.shape == (240, 320, 3)


def _reads_srt() -> bool:
    try:
        av.open("srt://127.0.0.1:9", timeout=1)
    except av.error.ProtocolNotFoundError:
        return False
    except av.error.FFmpegError:
        pass
    return True


def test_names_of_schemes_are_one_list() -> None:
    assert all(is_live(f"{scheme}://host:1/") for scheme in network.SCHEMES)
