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
from pydicom.uid import UID, UltrasoundMultiFrameImageStorage, generate_uid
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


def jpegs(pixels: np.ndarray, form: str) -> bytes:
    frames = []
    for frame in pixels:
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, form, **({"quality": 98} if form == "JPEG" else {}))
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
