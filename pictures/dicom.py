"""DICOM pictures and cines, decoded one frame at a time with pydicom and Pillow."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID

from ..errors import FileError, InputError, MissingFile, RunError
from .depth import Depth
from .pixels import Sector, whole

_TISSUE_2D = (1, 1)  # region spatial format, region data type (PS3.3 C.8.5.5)
_CENTIMETRES = 3  # physical units of a region
_HEADER = 4096  # bytes: longer values are read when they are wanted

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # what has to be said is said in the exceptions


class _NoPicture(InputError):
    """Its message is the sentence."""


class Dicom:
    """The pictures of one DICOM file. Raises OSError or ValueError with one sentence that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header = _header(path)
        _check_decoder(path, self._header)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._describe(self._header)
        except Exception as error:  # pydicom reads a value when it is asked for, and then raises what its parsers do
            raise InputError(f"{path} is damaged ({_first_words(error)}); copy it again from the scanner") from error

    def _describe(self, header: Dataset) -> None:
        self.count = int(header.get("NumberOfFrames") or 1)
        self.shape = int(header.Rows), int(header.Columns)
        if self.count < 1 or min(self.shape) < 1:
            raise InputError(f"{self.count} frames of {self.shape[1]} x {self.shape[0]} pixels")
        self.name = _safe_name(self.path, header)
        self.fps = _fps(header) if self.count > 1 else None
        region = _region(header, self.shape)
        # a region that is everything was not looked for
        self.sector = None if region is None or region[0] == whole(self.shape) else region[0]
        self.mm_per_pixel = _spacing(header, region[1] if region else None)
        self._kind = str(header.get("PhotometricInterpretation", ""))
        self._window = _window(header)

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        """Frames from number `start`: grey (rows, columns) or BGR (rows, columns, 3).

        Raises RuntimeError with one sentence after everything that could be read.
        """
        if start >= self.count:
            return
        depth, read, problem = Depth(), start, ""
        # raw: OpenCV turns YBR into colours ten times as fast as pydicom does
        wanted = range(start, self.count) if start else None
        decoded = islice(iter_pixels(self.path, indices=wanted, raw=True), self.count)
        while True:
            try:
                with warnings.catch_warnings():  # of what many scanners write, and nobody at a viewer can mend
                    warnings.simplefilter("ignore")
                    image = next(decoded, None)
                    picture = None if image is None else self._picture(image, depth)
            except Exception as error:  # each decoder has its own
                problem, picture = _first_words(error), None
            if picture is None:
                break
            read += 1
            yield picture
        if read < self.count:
            raise RunError(
                f"{self.name} is damaged or cut off ({problem or 'it ends early'}): "
                f"only {read} of {self.count} frames could be read; copy it again from the scanner"
            )

    def _picture(self, image: NDArray[np.generic], depth: Depth) -> NDArray[np.uint8]:
        if self._kind == "PALETTE COLOR":
            image = apply_color_lut(image, self._header)  # RGB of 8 or 16 bits
            image = image if image.dtype == np.uint8 else (image.astype(np.uint16) >> 8).astype(np.uint8)
        if image.ndim == 3 and self._kind in ("YBR_FULL", "YBR_FULL_422"):
            y, blue, red = cv2.split(depth(image))
            return np.asarray(cv2.cvtColor(cv2.merge((y, red, blue)), cv2.COLOR_YCrCb2BGR), np.uint8)
        if image.ndim == 3:
            return np.ascontiguousarray(depth(image)[..., 2::-1])
        grey = depth(image) if self._window is None else self._window(image)
        return 255 - grey if self._kind == "MONOCHROME1" else grey


@dataclass(frozen=True, slots=True)
class _Window:
    """The linear window of PS3.3 C.11.2.1.2.1 after rescaling: pixels -> 0..255."""

    centre: float
    width: float
    slope: float
    intercept: float

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        value = image.astype(np.float32) * self.slope + self.intercept
        level = (value - (self.centre - 0.5)) / max(self.width - 1, 1e-6) + 0.5
        return np.rint(np.clip(level, 0, 1) * 255).astype(np.uint8)


def _window(header: Dataset) -> _Window | None:
    centre, width = (_several(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if not centre or not width or float(width[0]) < 1:
        return None
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return _Window(float(centre[0]), float(width[0]), float(slope or 1), float(intercept or 0))


def _safe_name(path: Path, header: Dataset) -> str:
    """The file's name; one that holds the patient's name or number is not passed on."""
    personal = f"{header.get('PatientName', '')}^{header.get('PatientID', '')}".casefold()
    words = [word for word in personal.replace(" ", "^").replace("=", "^").split("^") if len(word) > 2]
    return "a DICOM file" if any(word in path.name.casefold() for word in words) else path.name


def _fps(header: Dataset) -> float | None:
    """From FrameTime (ms), FrameTimeVector or CineRate."""
    vector = [float(step) for step in _several(header.get("FrameTimeVector")) if float(step) > 0]
    step = float(header.get("FrameTime") or 0) or (float(np.mean(vector)) if vector else 0.0)
    rate = 1000.0 / step if step > 0 else float(header.get("CineRate") or 0)
    return rate if rate > 0 else None


def _region(header: Dataset, shape: tuple[int, int]) -> tuple[Sector, Dataset] | None:
    """The largest 2D tissue region that lies inside the picture."""
    found: list[tuple[Sector, Dataset]] = []
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        corners = [region.get(f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        if (region.get("RegionSpatialFormat"), region.get("RegionDataType")) != _TISSUE_2D or None in corners:
            continue
        left, top, right, bottom = (int(value) for value in corners)
        # the last pixel belongs to it; some scanners write the one behind
        width, height = min(right + 1, shape[1]) - left, min(bottom + 1, shape[0]) - top
        if min(left, top) >= 0 and min(width, height) >= 8:
            found.append((Sector(left, top, width, height), region))
    return max(found, key=lambda one: one[0].width * one[0].height, default=None)


def _spacing(header: Dataset, region: Dataset | None) -> tuple[float, float] | None:
    """mm per pixel (row, column) from the region's PhysicalDelta, else from PixelSpacing."""
    if region is not None:
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        row, column = (10 * abs(float(region.get(f"PhysicalDelta{axis}") or 0)) for axis in "YX")
        return (row, column) if units == (_CENTIMETRES,) * 2 and min(row, column) > 0 else None
    spacing = [float(step) for step in _several(header.get("PixelSpacing"))]
    return (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None


def _several(value: Any) -> list[Any]:
    """A DICOM value of none, one or many, as a list."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue) else [value]


def _header(path: Path) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(path, stop_before_pixels=True, defer_size=_HEADER)
            header.decode()  # while nobody minds its warnings
            if "Rows" not in header or "Columns" not in header:
                uid = getattr(header, "file_meta", {}).get("MediaStorageSOPClassUID")
                kind = _first_words(UID(uid).name) if uid else "it has no rows and columns"
                raise _NoPicture(f"{path} holds no picture ({kind}); give a DICOM ultrasound picture or cine")
        return header
    except _NoPicture:
        raise
    except InvalidDicomError as error:
        raise InputError(f"{path} is not a DICOM file; copy it again, or give it the suffix of what it is") from error
    except FileNotFoundError as error:
        raise MissingFile(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    except Exception as error:  # pydicom raises whatever its parsers do on damaged bytes
        raise InputError(f"{path} is damaged ({_first_words(error)}); copy it again from the scanner") from error


def _check_decoder(path: Path, header: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uid = UID(str(getattr(header, "file_meta", {}).get("TransferSyntaxUID") or ""))
        if not uid:
            raise InputError(f"{path} does not say how its pixels are stored; export it again")
        with contextlib.suppress(NotImplementedError):  # pydicom's way to say that it knows no decoder for these pixels
            decoder = get_decoder(uid)
            if decoder.is_native or decoder.is_available:
                return
    film = "MPEG" in uid.name or "HEVC" in uid.name
    cure = "export it as mp4" if film else "export it uncompressed, or decompress it with gdcmconv --raw"
    raise InputError(f"{path} is compressed as {_first_words(uid.name)}, which is not read here; {cure}")


def _first_words(error: object) -> str:
    """What an error says, short enough for a sentence and without what cannot be printed."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(error).partition("\n")[0]).strip()
    return words[:120].rstrip(" .:") or type(error).__name__
