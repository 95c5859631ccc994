"""Cameras: how they are typed, found and set. No camera is here: cv2 reads a film in its place, sysfs is a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from smartca.commands.streaming.sources import sources
from smartca.errors import InputError
from smartca.stream.sources import open_source
from smartca.stream.sources.live.camera import Camera, CameraMode, parse_camera, set_mode
from smartca.stream.sources.live.devices import VideoDevice, device_named, devices, is_interlaced, modes, read_modes


def film(folder: Path, frames: int = 12) -> cv2.VideoCapture:
    path = str(folder / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return cv2.VideoCapture(path)


def test_what_is_typed_behind_a_camera() -> None:
    assert parse_camera("0") == (0, CameraMode())
    wanted = CameraMode((1920, 1080), 59.94, "MJPG")
    assert parse_camera("2?size=1920x1080&fps=59.94&format=MJPG") == (2, wanted)
    assert parse_camera("2?fps=60") == (2, CameraMode(fps=60))
    for rest in (
        *("0?size=1920", "0?fps=0", "0?fps=fast", "0?format=MJPEG", "0?colour=1", "0?fps=1&fps=2", "0?size=1x1", ""),
        *("?fps=30", "0?fps=nan", "0?fps=-1"),
    ):
        with pytest.raises(InputError, match=r"is not understood; write camera:0\?size=1920x1080&fps=60&format=MJPG"):
            parse_camera(rest)


def test_what_a_camera_did_not_take_is_told(tmp_path: Path) -> None:
    """A film takes nothing: cv2 is asked and asked back as with a card."""
    capture = film(tmp_path)
    assert set_mode(capture, CameraMode()) == []
    assert set_mode(capture, CameraMode((64, 48), 30, "MJPG")) == []
    assert set_mode(capture, CameraMode((1920, 1080), 60, "YUYV")) == [
        "format=YUYV (it gives MJPG)",
        "size=1920x1080 (it gives 64x48)",
        "fps=60 (it gives 30)",
    ]
    capture.release()


def test_what_was_kept_since_the_opening_is_let_go(tmp_path: Path) -> None:
    with Camera(film(tmp_path), 0, held=8) as camera:  # a film gives all at once, as a driver what it kept
        assert round(float(next(camera.pictures()).pixels.mean()) / 10) == 8
    with Camera(film(tmp_path), 0) as camera:
        assert next(camera.pictures()).pixels.mean() < 3


def test_an_interlaced_card_gives_one_field(tmp_path: Path) -> None:
    path = str(tmp_path / "%02d.png")
    combs = np.zeros((48, 64, 3), np.uint8)
    combs[1::2] = 250
    cv2.imwrite(path % 0, combs)
    for interlaced, brightest in ((True, 0), (False, 250)):
        with Camera(cv2.VideoCapture(path), 0, interlaced=interlaced) as camera:
            assert next(camera.pictures()).pixels.max() == brightest
    assert not is_interlaced(63)


def node(root: Path, number: int, name: str, index: int = 0) -> None:
    folder = root / f"video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "index").write_text(f"{index}\n")


def test_devices_are_found_by_name(tmp_path: Path) -> None:
    for number, name, index in ((10, "USB Capture HDMI: Magewell", 0), (2, "HD Webcam", 0), (3, "HD Webcam", 1)):
        node(tmp_path, number, name, index)
    (tmp_path / "video7").mkdir()  # gone meanwhile
    assert devices(tmp_path) == [VideoDevice(2, "HD Webcam"), VideoDevice(10, "USB Capture HDMI: Magewell")]
    assert device_named("magewell", tmp_path) == 10 and device_named("HD Webcam", tmp_path) == 2
    with pytest.raises(InputError, match=r"'camera:h' names 2 cameras; camera:2 is HD Webcam; camera:10 is USB"):
        device_named("h", tmp_path)
    with pytest.raises(InputError, match=r"'camera:Epiphan' names no camera; camera:2 is HD Webcam"):
        device_named("Epiphan", tmp_path)
    with pytest.raises(InputError, match=r"names no camera; give a number, e.g. camera:0"):
        device_named("Epiphan", tmp_path / "none")


TOLD = """ioctl: VIDIOC_ENUM_FMT
\tType: Video Capture

\t[0]: 'MJPG' (Motion-JPEG, compressed)
\t\tSize: Discrete 1920x1080
\t\t\tInterval: Discrete 0.017s (60.000 fps)
\t\t\tInterval: Discrete 0.033s (29.970 fps)
\t\tSize: Discrete 720x576
\t\t\tInterval: Discrete 0.040s (25.000 fps)
\t[1]: 'NV12' (Y/CbCr 4:2:0)
\t\tSize: Stepwise 48x32 - 1920x1080 with step 2/2
"""


def test_modes_are_told_as_they_are_typed() -> None:
    assert read_modes(TOLD) == [
        "format=MJPG size=1920x1080 fps=60,29.97",
        "format=MJPG size=720x576 fps=25",
        "format=NV12 size=48x32 - 1920x1080",
    ]
    assert read_modes("") == [] and modes(63) == []  # with v4l2-ctl and without


@pytest.mark.parametrize(
    ("module", "spec", "extra"), [("pyigtl", "igtl://h", "slicer"), ("mss", "screen:0,0,9,9", "screen")]
)
def test_a_missing_package_is_told_with_its_extra(
    module: str, spec: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}; install it with `pip install 'smartca\[{extra}\]'`"):
        open_source(spec)


def test_the_command_lists_every_form() -> None:
    told = CliRunner().invoke(sources)
    assert told.exit_code == 0
    for form in ("clip.mp4", "phantom:", "camera:0", "rtsp://", "igtl://", "camera"):
        assert form in told.output
