"""An ONNX file's bytes: what its metadata says and where its weights lie, read without the package onnx.

An ONNX file is one protobuf message; only its outer fields are walked here, so a large network costs no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import InputError, MissingFile

POINT_KEY = "smartca.operating_point"  # found for the weights and not part of them: no digest covers it
# numbers of protobuf's fields, from onnx.proto
MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
NODE_ATTRIBUTE = 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 5, 6, 11
TENSOR_EXTERNAL = 13
KEY, VALUE = 1, 2  # of a StringStringEntryProto
LENGTH_DELIMITED = 2
CHUNK = 1 << 24  # bytes


class Part(NamedTuple):
    """One field of a message: it begins at `start`; its content is bytes `inner` to `end`."""

    number: int
    kind: int
    start: int
    inner: int
    end: int


def metadata(data: bytes) -> dict[str, str]:
    """The file's metadata_props; empty for what is no protobuf message."""
    try:
        return {key: value for key, value, _ in _entries(data)}
    except ValueError:
        return {}


def with_metadata(data: bytes, key: str, value: str | None) -> bytes:
    """The file with `key` set to `value`, or without it; all else stays as it is. Raises ValueError if it is no ONNX.

    Fields of a protobuf message may come in any order, so the entry is put at the end.
    """
    kept = without(data, key)
    if value is None:
        return kept
    entry = _delimited(KEY, key.encode()) + _delimited(VALUE, value.encode())
    return kept + _delimited(MODEL_METADATA, entry)


def without(data: bytes, key: str) -> bytes:
    """The file without the metadata called `key`. Raises ValueError if it is no protobuf message."""
    if key.encode() not in data:
        return data
    kept, place = [], 0
    for name, _, field in _entries(data):
        if name == key:
            kept.append(data[place : field.start])
            place = field.end
    return b"".join([*kept, data[place:]])


def weight_files(model: Path, data: bytes | None = None) -> list[Path]:
    """The files beside `model` that hold some of its weights, each once, in order of their names.

    Raises MissingFile that names one that is not there, InputError for one that lies outside the model's folder.
    """
    data = model.read_bytes() if data is None else data
    if b"location" not in data:  # the key that names such a file
        return []
    try:
        names = sorted(set(_locations(data)))
    except ValueError:  # no ONNX file, as its reader will say
        return []
    found = [model.parent / name for name in names]
    for name, path in zip(names, found, strict=True):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{model.name} keeps weights in {name}, outside its folder; export it again, in one file")
        if not path.is_file():
            raise MissingFile(
                f"{model.name} keeps its weights in {name}, which is not beside it: copy {name} into {model.parent}, "
                "or export the network again in one file"
            )
    return found


def network_digest(model: Path, data: bytes | None = None) -> str:
    """Hex digest of the network in `model`: its bytes but for the operating point, and the files of its weights.

    data: the bytes of `model`, where they were read already. Without such files and such a point it is the file's
    SHA-256. Raises what `weight_files` raises.
    """
    data = model.read_bytes() if data is None else data
    try:
        bare = without(data, POINT_KEY)
    except ValueError:
        bare = data
    found = hashlib.sha256(bare)
    for path in weight_files(model, data):
        found.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                found.update(block)
    return found.hexdigest()


def _entries(data: bytes) -> Iterator[tuple[str, str, Part]]:
    """(key, value, field) of each of the model's metadata_props."""
    for field in _fields(data, 0, len(data)):
        if field.number == MODEL_METADATA and field.kind == LENGTH_DELIMITED:
            yield *_pair(data, field), field


def _pair(data: bytes, entry: Part) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    parts = {part.number: data[part.inner : part.end] for part in _fields(data, entry.inner, entry.end)}
    return parts.get(KEY, b"").decode(), parts.get(VALUE, b"").decode()


def _locations(data: bytes) -> Iterator[str]:
    """Names of the files that tensors of the network lie in."""
    for field in _fields(data, 0, len(data)):
        if field.number == MODEL_GRAPH:
            yield from _of_graph(data, field)


def _of_graph(data: bytes, graph: Part) -> Iterator[str]:
    for part in _fields(data, graph.inner, graph.end):
        if part.number == GRAPH_INITIALIZER:
            yield from _of_tensor(data, part)
        elif part.number == GRAPH_NODE:
            for attribute in _fields(data, part.inner, part.end):
                if attribute.number == NODE_ATTRIBUTE:
                    yield from _of_attribute(data, attribute)


def _of_attribute(data: bytes, attribute: Part) -> Iterator[str]:
    for value in _fields(data, attribute.inner, attribute.end):
        if value.kind != LENGTH_DELIMITED:
            continue
        if value.number == ATTRIBUTE_TENSOR:
            yield from _of_tensor(data, value)
        elif value.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            yield from _of_graph(data, value)


def _of_tensor(data: bytes, tensor: Part) -> Iterator[str]:
    for part in _fields(data, tensor.inner, tensor.end):
        if part.number == TENSOR_EXTERNAL and part.kind == LENGTH_DELIMITED:
            key, value = _pair(data, part)
            if key == "location":
                yield value


def _fields(data: bytes, start: int, end: int) -> Iterator[Part]:
    """The fields of the message in bytes `start` to `end`. Raises ValueError where it is none."""
    place = start
    while place < end:
        tag, inner = _varint(data, place, end)
        number, kind = tag >> 3, tag & 7
        if kind == LENGTH_DELIMITED:
            length, inner = _varint(data, inner, end)
            after = inner + length
        elif kind == 0:
            _, after = _varint(data, inner, end)
        elif kind in (1, 5):
            after = inner + (8 if kind == 1 else 4)
        else:
            raise InputError(f"a field of kind {kind} at byte {place}")
        if after > end or number == 0:
            raise InputError(f"a field that ends outside its message at byte {place}")
        yield Part(number, kind, place, inner, after)
        place = after


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A number of protobuf's, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = data[place]
        value, place = value | (byte & 0x7F) << shift, place + 1
        if byte < 0x80:
            return value, place
    raise InputError(f"a number without end at byte {place}")


def _delimited(number: int, content: bytes) -> bytes:
    """A field that holds `content`."""
    return _as_varint(number << 3 | LENGTH_DELIMITED) + _as_varint(len(content)) + content


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
