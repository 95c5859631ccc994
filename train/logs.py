"""The training log: log.csv, rewritten whole at every epoch, and TensorBoard scalars."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from .checkpoint import replace_file

Row = dict[str, float]  # one epoch: epoch, step, loss (its mean), and the validation's scores


class Log:
    """`folder`/`table` and `folder`/tensorboard/`name`; used with `with`. A silent one (`quiet`) writes nothing.

    `step` is where the run goes on from: scalars that a killed run wrote beyond it are hidden.
    """

    def __init__(self, folder: Path, table: str, name: str, step: int, quiet: bool = False) -> None:
        self.path, self._writer = folder / table, None
        if not quiet:
            from torch.utils.tensorboard import SummaryWriter

            place = str(folder / "tensorboard" / name)
            self._writer: Any = SummaryWriter(place, purge_step=step + 1 if step else None)

    def step(self, step: int, loss: float, rate: float) -> None:
        """Loss and learning rate of one step."""
        if self._writer:
            self._writer.add_scalar("train/loss", loss, step)
            self._writer.add_scalar("train/learning rate", rate, step)

    def epoch(self, rows: Sequence[Row]) -> None:
        """The last row as scalars, and all of them as a table. Raises OSError where it cannot be written."""
        if not self._writer:
            return
        for name, value in rows[-1].items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(f"epoch/{name}", value, rows[-1]["step"])
        self._writer.flush()
        lines = io.StringIO(newline="")
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
        replace_file(self.path, lambda file: file.write(lines.getvalue().encode()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.close()
