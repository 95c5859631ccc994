"""Cameras and capture cards that are plugged in, on Linux, as its kernel and v4l2-ctl tell of them."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ....errors import InputError, printable

SYSFS = Path("/sys/class/video4linux")
_ASK_S = 5.0
# of linux/videodev2.h: struct v4l2_format is 208 bytes, its kind first, its pixel format's field at 20
_GET_FORMAT, _FORMAT_BYTES, _FIELD_AT, _CAPTURE = 0xC0D05604, 208, 20, 1
_WOVEN = {4, 8, 9}  # V4L2_FIELD_INTERLACED, _INTERLACED_TB, _INTERLACED_BT: both fields in one picture, line by line


class VideoDevice(NamedTuple):
    """A device that gives pictures: camera:NUMBER, and what it calls itself."""

    number: int
    name: str


def devices(root: Path = SYSFS) -> list[VideoDevice]:
    """All that are there, by number; none where the system does not tell (anything but Linux)."""
    found = []
    for entry in root.glob("video*"):
        number = entry.name.removeprefix("video")
        with suppress(OSError, ValueError):
            # one card has several nodes; those behind the first carry no pictures but data about them
            if number.isdecimal() and int(_line(entry / "index")) == 0:
                found.append(VideoDevice(int(number), printable(_line(entry / "name"))))
    return sorted(found)


def _line(path: Path) -> str:
    return path.read_text(errors="replace").strip()


def device_named(name: str, root: Path = SYSFS) -> int:
    """The number of the one device whose name holds `name`, in any case. Raises InputError where there are others."""
    there = devices(root)
    fits = [one for one in there if name.casefold() in one.name.casefold()]
    exact = [one for one in fits if name.casefold() == one.name.casefold()]
    if len(exact or fits) == 1:
        return (exact or fits)[0].number
    known = "; ".join(f"camera:{one.number} is {one.name}" for one in (fits or there)[:4])
    what = f"names {len(fits)} cameras" if fits else "names no camera"
    cure = f"{known}" if known else "give a number, e.g. camera:0; `smartca sources` lists what is plugged in"
    raise InputError(f"'camera:{name[:40]}' {what}; {cure}")


def modes(number: int) -> list[str]:
    """What the device can give, a line a size, as v4l2-ctl tells; empty where that is not installed or fails."""
    if not (program := shutil.which("v4l2-ctl")):
        return []
    ask = [program, "-d", f"/dev/video{number}", "--list-formats-ext"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, errors="replace", timeout=_ASK_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return read_modes(said.stdout)


def read_modes(said: str) -> list[str]:
    """v4l2-ctl's list as lines such as 'format=MJPG size=1920x1080 fps=60,30'."""
    found: list[str] = []
    form = ""
    for line in said.splitlines():
        if kind := re.search(r"\[\d+\]: '(.{4})'", line):
            form = kind[1]
        elif size := re.search(r"Size: \w+ (\d+x\d+(?: - \d+x\d+)?)", line):
            found.append(f"format={form} size={size[1]}")
        elif (rate := re.search(r"\(([\d.]+)(?:-[\d.]+)? fps\)", line)) and found:
            found[-1] += ("," if " fps=" in found[-1] else " fps=") + f"{float(rate[1]):g}"
    return found


def is_interlaced(number: int) -> bool:
    """Whether the device weaves two fields into each picture now; False where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    asked = bytearray(_FORMAT_BYTES)
    struct.pack_into("I", asked, 0, _CAPTURE)
    try:
        with Path(f"/dev/video{number}").open("rb", buffering=0) as device:
            fcntl.ioctl(device, _GET_FORMAT, asked)
    except OSError:
        return False
    return struct.unpack_from("I", asked, _FIELD_AT)[0] in _WOVEN
