"""DICOM pictures and cines, decoded one frame at a time with pydicom and Pillow."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.utils import as_pixel_options, iter_pixels
from pydicom.uid import UID

from ...errors import InputError, RunError, SmartcaError
from ..pixels import whole
from .codestreams import Codestream, decode_colours, read_codestream
from .dicom_colours import HALVED_CHROMAS, WHOLE_CHROMAS, from_ybr, photometric, with_whole_chromas
from .dicom_facts import frames_per_second, region, safe_name, spacing
from .dicom_shading import Shading
from .dicom_stored import first_words, read_stored

_LARGEST = 1 << 28  # bytes a picture
_ALLOCATED = (1, 8, 16, 32, 64)
_NO_COLOURS = ("CMYK", "HSV", "ARGB", "YBR_PARTIAL_420")  # which DICOM once had
_SLACK = 1 << 16  # bytes behind the pixels that are looked at

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # what has to be said is said in the exceptions


class Dicom:
    """The pictures of one DICOM file. Raises OSError or ValueError with one sentence that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored = read_stored(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._describe(self._stored.header)
        except SmartcaError as error:
            raise InputError(f"{path}: {error}") from error
        except Exception as error:  # pydicom reads a value when it is asked for, and then raises what its parsers do
            raise InputError(f"{path} is damaged ({first_words(error)}); copy it again from the scanner") from error

    def _describe(self, header: Dataset) -> None:
        said = int(header.get("NumberOfFrames") or 1)
        self.shape = int(header.Rows), int(header.Columns)
        if said < 1 or min(self.shape) < 1:
            raise InputError(f"it has {said} frames of {self.shape[1]} x {self.shape[0]} pixels; copy it again")
        self.name = safe_name(self.path, header)
        self._channels = int(header.get("SamplesPerPixel") or 1)
        self._kind = photometric(header)
        self._bits = int(header.get("BitsAllocated") or 8)
        if self.shape[0] * self.shape[1] * self._channels * self._bits > 8 * _LARGEST:
            raise InputError(f"its header says {self.shape[1]} x {self.shape[0]} pixels; copy it again")
        if self._stored.real:
            raise InputError(f"its pixels are of {self._stored.real} precision; save it with 8 or 16 bits a channel")
        if self._bits not in _ALLOCATED:
            raise InputError(f"its pixels are packed in {self._bits} bits each; export it with 8 or 16 bits a channel")
        if self._kind in _NO_COLOURS and self._stored.frames is None:
            raise InputError(f"its colours are {self._kind}, not grey or RGB; export it as RGB")
        self._check_compression()
        self.count = self._counted(said)
        self.fps = frames_per_second(header) if self.count > 1 else None
        found = region(header, self.shape)
        # a region that is everything was not looked for
        self.sector = None if found is None or found[0] == whole(self.shape) else found[0]
        self.mm_per_pixel = spacing(header, found[1] if found else None)
        Shading(header, self._big)  # says what is wrong with it

    @property
    def _big(self) -> bool:
        return self._stored.header.original_encoding[1] is False

    def _counted(self, said: int) -> int:
        """How many frames there are: as many as said, or more where the pixels are clearly more."""
        if self._stored.frames is not None:
            return max(said, len(self._stored.frames))
        length = self._stored.length
        one = self._frame_bytes(said, length)
        if length - said * one < 2:
            return said
        more, rest = divmod(length, one)
        if rest > 1 and self._holds_something(more * one if more > said else said * one):
            raise InputError(
                f"its header says {said} frames of {self.shape[1]} x {self.shape[0]} pixels with {self._channels} x "
                f"{self._bits} bits, which are {said * one} bytes, but it has {length}; export it again"
            )
        return more if rest <= 1 else said

    def _frame_bytes(self, said: int, length: int) -> int:
        """Of what is not compressed; how many channels there are is told by the length where the header is wrong."""
        rows, columns = self.shape
        one = max(1, rows * columns * self._bits // 8)
        halved = self._kind in HALVED_CHROMAS and self._channels == 3
        if halved:  # an odd row has one more, or goes on in the next
            for each in (2 * rows * (columns + columns % 2), 2 * rows * columns):
                if 0 <= length - said * each < 2:
                    return each
        # what nobody counted the frames of is rather three greys than one picture of colours
        greys = said == 1 and self._channels == 1 and self._kind in ("", "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
        for channels in (self._channels,) if greys else (self._channels, 3, 1):
            if 0 <= length - said * one * channels < 2:
                if halved and channels == 3:
                    self._kind = "YBR_FULL"  # nothing was left out of its chromas
                self._channels = channels
                if channels not in (1, 3):
                    raise InputError(f"its pixels have {channels} channels; export it as RGB or grey")
                return one * channels
        return one * (2 if halved else self._channels)

    def _holds_something(self, behind: int) -> bool:
        with self._stored.open() as file:
            file.seek(self._stored.begin + behind)
            return any(file.read(min(_SLACK, self._stored.length - behind)))

    def _check_compression(self) -> None:
        """Raises ValueError, naming the compression, where nothing here reads it."""
        stored = self._stored
        uid = stored.syntax
        if stored.frames is None and uid.is_transfer_syntax and not uid.is_encapsulated:
            return
        said = None
        if stored.frames:
            with stored.open() as file:
                said = read_codestream(stored.frame(file, 0))
        if said is not None:
            if said.rows * said.columns * said.channels > _LARGEST:
                raise InputError(f"its pixels say that they are {said.columns} x {said.rows}; copy it again")
            if _reads(said):
                return
            uid = said.syntax or uid
            name = said.name
        else:
            if _decoder(uid) is not None:
                return
            name = first_words(uid.name)
        film = "MPEG" in name or "HEVC" in name
        cure = "export it as mp4" if film else "export it uncompressed, or decompress it with gdcmconv --raw"
        raise InputError(f"it is compressed as {name}, which is not read here; {cure}")

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        """Frames from number `start`: grey (rows, columns) or BGR (rows, columns, 3).

        Raises RuntimeError with one sentence after everything that could be read.
        """
        if start >= self.count:
            return
        shading, read, problem = Shading(self._stored.header, self._big), start, ""
        decoded = self._decoded(start)
        while True:
            try:
                with warnings.catch_warnings():  # of what many scanners write, and nobody at a viewer can mend
                    warnings.simplefilter("ignore")
                    image = next(decoded, None)
                    picture = None if image is None else shading(image)
            except SmartcaError as error:
                raise RunError(f"{self.name}, frame {read + 1} of {self.count}: {error}") from error
            except Exception as error:  # each decoder has its own
                problem, picture = first_words(error), None
            if picture is None:
                break
            read += 1
            yield picture
        if read < self.count:
            raise RunError(
                f"{self.name} is damaged or cut off ({problem or 'it ends early'}): "
                f"only {read} of {self.count} frames could be read; copy it again from the scanner"
            )

    def _decoded(self, start: int) -> Iterator[NDArray[np.generic]]:
        """Grey (rows, columns) or RGB (rows, columns, 3) of the file's own depth."""
        if self._stored.frames is None:
            for image in self._native(start):
                yield self._as_rgb(image)
            return
        with self._stored.open() as file:
            for number in range(start, len(self._stored.frames)):
                frame = self._stored.frame(file, number)
                said = read_codestream(frame)
                if said is not None and (said.rows, said.columns) != self.shape:
                    raise InputError(
                        f"its header says {self.shape[1]} x {self.shape[0]} pixels, but they are "
                        f"{said.columns} x {said.rows}; export it again"
                    )
                if said is not None and said.by_pillow:
                    yield decode_colours(frame, said, self._kind)
                else:
                    yield self._by_pydicom(frame, said)

    def _halved(self, start: int) -> Iterator[NDArray[np.generic]]:
        """Of two pixels each with the same chromas: pydicom reads but the first frame of several (3.0)."""
        each = self._frame_bytes(self.count, self._stored.length)
        with self._stored.open() as file:
            file.seek(self._stored.begin + start * each)
            for _ in range(start, min(self.count, self._stored.length // each)):
                content = np.frombuffer(file.read(each), np.uint8)
                if self._stored.swapped:
                    content = content.view(np.uint16).byteswap().view(np.uint8)
                yield with_whole_chromas(content, self.shape)

    def _native(self, start: int) -> Iterator[NDArray[np.generic]]:
        if self._kind in HALVED_CHROMAS and self._channels == 3 and self._bits == 8:
            yield from self._halved(start)
            return
        held = self._stored.length // self._frame_bytes(self.count, self._stored.length)
        if start >= held:  # which pydicom takes for all
            return
        options: dict[str, Any] = {**self._options(self.count), "transfer_syntax_uid": self._stored.syntax}
        if self._all_bits():
            options["bits_stored"] = self._bits
        with self._stored.open() as file:
            # raw: OpenCV turns YBR into colours ten times as fast as pydicom does
            yield from iter_pixels(file, indices=range(start, min(self.count, held)), raw=True, **options)

    def _all_bits(self) -> bool:
        """Whether the bits that the header does not count are looked at too: nothing else is kept in them, and no sign
        has to be brought there.
        """
        header = self._stored.header
        overlays = ((0x6000 + group, 0x0102) for group in range(0, 32, 2))  # where in the pixels they are
        drawn = any(tag in header and header[tag].value for tag in overlays)
        return header.get("PixelRepresentation") != 1 and not drawn

    def _by_pydicom(self, frame: bytes, said: Codestream | None) -> NDArray[np.generic]:
        uid = said.syntax if said is not None and said.syntax else self._stored.syntax
        more = {"samples_per_pixel": min(said.channels, 3)} if said is not None else {}
        options = as_pixel_options(self._stored.header, pixel_keyword="PixelData", **self._options(1) | more)
        image, _ = get_decoder(uid).as_array(encapsulate([frame], has_bot=False), raw=True, **options)
        return image if said is not None and said.transformed is False else self._as_rgb(image)

    def _options(self, count: int) -> dict[str, Any]:
        """What replaces the header's own words, for pydicom."""
        header = self._stored.header
        return {
            "number_of_frames": count,
            "samples_per_pixel": self._channels,
            "photometric_interpretation": self._kind or "MONOCHROME2",
            "planar_configuration": int(header.get("PlanarConfiguration") or 0),
            "pixel_representation": int(header.get("PixelRepresentation") or 0),
            "bits_allocated": self._bits,
            "bits_stored": int(header.get("BitsStored") or self._bits),
        }

    def _as_rgb(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        if image.ndim == 3 and self._kind in WHOLE_CHROMAS:
            if image.dtype != np.uint8 and int(image.max(initial=0)) > 0xFF:
                raise InputError(f"its colours are {self._kind} of more than 8 bits; export it as RGB with 8")
            return from_ybr(np.asarray(image, np.uint8), partial=self._kind == "YBR_PARTIAL_422")
        return image


def _reads(said: Codestream) -> bool:
    """Whether anything that is installed reads it."""
    if said.by_pillow:
        return True
    decoder = _decoder(said.syntax) if said.syntax else None
    if decoder is None:
        return False
    if said.name.startswith("JPEG 2000"):
        return said.channels == 1 or any(name != "pillow" for name in decoder.available_plugins)
    return any(name != "pillow" for name in decoder.available_plugins)


def _decoder(uid: UID) -> Decoder | None:
    """pydicom's, where it has one and what that needs is installed."""
    with contextlib.suppress(NotImplementedError, ValueError):  # pydicom's way to say that it knows none
        decoder = get_decoder(uid)
        if decoder.is_native or decoder.is_available:
            return decoder
    return None
