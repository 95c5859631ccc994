"""A folder of phantoms whose writing was interrupted says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from smartca.pictures.datasets import open_data
from smartca.stream.sources.cine import write_folder


def test_an_interrupted_folder_says_what_is_missing_and_the_same_command_mends_it(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path, 4, 3, stop)
    with pytest.raises(ValueError, match=r"holds 2 of 3 frames of seed 4, and split\.csv does not list them"):
        open_data(tmp_path, "train")
    write_folder(tmp_path, 4, 3)
    assert len(open_data(tmp_path, "all")) == 3
