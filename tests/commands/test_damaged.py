"""Damaged files of every kind are the user's to mend: exit code 2 and a sentence, and never told as a bug of ours."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from smartca.engine.operating_point import point_path
from smartca.stream.link.wire import MAGIC, PREFIX, VERSION, WireError, unpack
from smartca.stream.sources.cine import masks_of, open_cine, write_cine
from test_cli import run

DAMAGED = {
    "nested": b"[" * 100_000,
    "nested deeper": b'{"a":' * 100_000,
    "not UTF-8": b'{"a":"\xff\xfe"}',
    "empty": b"",
    "zeros": bytes(500),
    "another kind": b'[{"a": null}]',
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of one."""
    (tmp_path / "exam").mkdir()
    cv2.imwrite(str(tmp_path / "exam" / "a.png"), np.full((90, 120), 200, np.uint8))
    return tmp_path / "exam"


@pytest.mark.parametrize("what", DAMAGED)
def test_an_operating_point(what: str, network: Path, pictures: Path, capfd: pytest.CaptureFixture[str]) -> None:
    point_path(network).write_bytes(DAMAGED[what])
    for command in (["evaluate", "--data", pictures, "--engine"], ["build", "--backend", "openvino"]):
        code, _, err = run(capfd, *command, network)
        assert (code, "is not an operating point" in err) == (2, True), err


@pytest.mark.parametrize("what", DAMAGED)
def test_a_build_sheet(what: str, network: Path, pictures: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network.with_name(f"{network.name}.json").write_bytes(DAMAGED[what])
    code, _, err = run(capfd, "evaluate", "--data", pictures, "--engine", network)
    assert code == 2 and "damaged" in err


def test_a_network_whose_weights_lack_numbers(network: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(str(network))
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    weights.dims[1] = 42  # of which there are 81 numbers still
    onnx.save(model, str(network))
    code, _, err = run(capfd, "build", network, "--backend", "openvino", "--precision", "fp16")
    assert code == 2 and f"{network.name} is damaged" in err


@pytest.mark.parametrize("damage", range(12))
def test_the_masks_of_a_cine(damage: int, tmp_path: Path) -> None:
    """numpy, zip and zlib each raise their own."""
    film = write_cine(tmp_path / "p.mp4", 3, 2)
    content = bytearray(masks_of(film).read_bytes())
    rng = np.random.default_rng(damage)
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    masks_of(film).write_bytes(content)
    try:
        open_cine(film)  # zip's own check may not cover the byte
    except ValueError as error:
        assert "delete the cine" in str(error)


@pytest.mark.parametrize("what", DAMAGED)
def test_a_study(what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="the extra 'train' is absent")
    (tmp_path / "s.toml").write_bytes(b"a = " + DAMAGED[what])
    code, _, err = run(capfd, "study", tmp_path / "s.toml")
    assert code == 2 and "s.toml is" in err


@pytest.mark.parametrize(
    "content",
    [
        {"settings": 3, "state": 1},
        {"settings": None, "state": {}},
        {"settings": {"loss": "iplf", "network": 5}, "state": {}},
        {"settings": {"loss": "iplf", "size": "x"}, "state": 3},
        [1, 2],
    ],
    ids=str,
)
def test_a_checkpoint(content: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is absent")
    torch.save(content, tmp_path / "best.pt")
    code, _, err = run(capfd, "export", "--checkpoint", tmp_path / "best.pt", "--out", tmp_path / "x.onnx")
    assert code == 2 and "best.pt" in err


@pytest.mark.parametrize("depth", [10, 60_000])
def test_a_message_nested_without_end(depth: int) -> None:
    """From a peer that means ill: its checksum fits, and the field is one that nobody asked for."""
    head = b"\x82\xa4type\xa4beat\xa1y" + b"\x91" * depth
    with pytest.raises(WireError, match="head is malformed"):
        unpack(PREFIX.pack(MAGIC, VERSION, 0, zlib.crc32(head), 7, 1, len(head), 0) + head)
