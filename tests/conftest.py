"""Fixtures that tests of several rooms use; what they are made of is in support/."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.networks import brightness_network

os.environ["SMARTCA_FORGET_SCREENS"] = "1"  # what one test has seen is not another's
pytest_plugins = ["support.serving"]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A model file that outlines what is bright."""
    return brightness_network(tmp_path / "bright.onnx")
