"""DICOM files with known contents, and what is said of those that cannot be read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRBigEndian, UltrasoundMultiFrameImageStorage, generate_uid
from pydicom.uid import ExplicitVRLittleEndian as Plain
from smartca.stream.sources import open_source

ROWS, COLUMNS = 40, 64


def pictures(frames: int = 1) -> np.ndarray:
    """Frame k: a ramp from left to right with its upper rows brighter by 100, and k in its first pixel."""
    ramp = np.tile(np.arange(COLUMNS, dtype=np.uint8) * 2, (frames, ROWS, 1))
    ramp[:, :8] += 100
    ramp[:, 0, 0] = np.arange(frames)
    return ramp


def dataset(pixels: np.ndarray, kind: str = "MONOCHROME2", syntax: str = Plain, **more: Any) -> Dataset:
    """A DICOM file of `pixels` (frames, rows, columns[, 3]), not yet compressed."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UltrasoundMultiFrameImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID = "Doe^Jane", "4711"
    ds.NumberOfFrames, ds.Rows, ds.Columns = pixels.shape[:3]
    ds.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    if pixels.ndim == 4:
        ds.PlanarConfiguration = 0
    ds.PhotometricInterpretation = kind
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes()
    for key, value in more.items():
        setattr(ds, key, value)
    return ds


def written(path: Path, ds: Dataset) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def without_preamble(path: Path, ds: Dataset, meta: bool) -> Path:
    """As old archives have it: beginning with the file meta information, or, without `meta`, with the first element."""
    if meta:
        path.write_bytes(written(path, ds).read_bytes()[132:])
        return path
    syntax = ds.file_meta.TransferSyntaxUID
    del ds.file_meta
    content = DicomBytesIO()
    content.is_little_endian, content.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    write_dataset(content, ds)
    path.write_bytes(content.getvalue())
    return path


def noise(frames: int) -> np.ndarray:
    """Colours of which no two are alike: (frames, rows, columns, 3)."""
    return np.random.default_rng(3).integers(0, 256, (frames, ROWS, COLUMNS, 3)).astype(np.uint8)


def as_stored(pixels: np.ndarray, syntax: str) -> bytes:
    """In the byte order of `syntax`."""
    return pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()


def as_words(content: bytes) -> bytes:
    """Bytes in words whose higher one comes first: each two change places."""
    return np.frombuffer(content + bytes(len(content) % 2), "<u2").byteswap().tobytes()


def halved(ybr: np.ndarray) -> np.ndarray:
    """Y1 Y2 Cb Cr of each two neighbours in a row; of their chromas the first's."""
    pairs = ybr.reshape(*ybr.shape[:2], -1, 2, 3)
    return np.concatenate([pairs[..., 0], pairs[..., 0, 1:]], axis=-1)


def rgb_of(ybr: np.ndarray) -> np.ndarray:
    """As PS3.3 C.7.6.3.1.2 has it, rounded."""
    y, blue, red = (ybr[..., channel].astype(float) for channel in range(3))
    blue, red = blue - 128, red - 128
    mixed = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def colour_tables(entries: int, form: str, syntax: str = Plain) -> dict[str, Any]:
    """Red as the pixel's value, green half of it, blue a quarter; as 'bytes', 'bytes in words' or 'words'."""
    tables: dict[str, Any] = {}
    for power, name in enumerate(("Red", "Green", "Blue")):
        values = np.arange(entries) >> power
        if form == "bytes":
            content = values.astype(np.uint8).tobytes()
            content = as_words(content) if syntax == ExplicitVRBigEndian else content + bytes(entries % 2)
        else:
            content = as_stored((values * (257 if form == "words" else 1)).astype(np.uint16), syntax)
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [entries, 0, 8 if form == "bytes" else 16]
        tables[f"{name}PaletteColorLookupTableData"] = content
    return tables


def jpegs(pixels: np.ndarray, form: str, **how: Any) -> bytes:
    frames = []
    for frame in pixels:
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, form, **({"quality": 98} if form == "JPEG" else {}), **how)
        frames.append(stream.getvalue())
    return encapsulate(frames)


def region(left: int, top: int, right: int, bottom: int, kind: int = 1, units: int = 3) -> Dataset:
    ds = Dataset()
    ds.RegionSpatialFormat, ds.RegionDataType = 1, kind
    ds.RegionLocationMinX0, ds.RegionLocationMinY0, ds.RegionLocationMaxX1, ds.RegionLocationMaxY1 = (
        left,
        top,
        right,
        bottom,
    )
    ds.PhysicalUnitsXDirection = ds.PhysicalUnitsYDirection = units
    ds.PhysicalDeltaX, ds.PhysicalDeltaY = 0.01, -0.02
    return ds


def read(path: Path, start: int = 0) -> list[np.ndarray]:
    with open_source(str(path)) as source:
        return [picture.pixels for picture in source.pictures(start)]


def sentence(path: Path) -> str:
    """What opening or reading it says; it names the file and holds nothing of the patient."""
    with pytest.raises((OSError, ValueError, RuntimeError)) as caught:
        read(path)
    told = str(caught.value)
    assert path.name in told and "\n" not in told and len(told) < 320
    assert "Doe" not in told and "4711" not in told
    return told
