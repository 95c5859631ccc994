"""Fixtures that tests of several rooms use; what they are made of is in support/."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from smartca.stream.link.keys import ENVIRONMENT
from support.networks import brightness_network

os.environ["SMARTCA_FORGET_SCREENS"] = "1"  # what one test has seen is not another's
pytest_plugins = ["support.serving"]


@pytest.fixture(scope="session", autouse=True)
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys of the tests' own: whoever runs them keeps theirs."""
    folder = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(folder))
        yield folder


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A model file that outlines what is bright."""
    return brightness_network(tmp_path / "bright.onnx")
