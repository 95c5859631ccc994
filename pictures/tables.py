"""CSV tables as people's spreadsheets write them: split.csv, negatives.csv, patients.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError


class NumberedRows(NamedTuple):
    """A table's columns, and each row below them with the number of its line in the file."""

    columns: frozenset[str]
    each: list[tuple[int, dict[str, str | None]]]


def read_rows(table: Path) -> NumberedRows:
    """The table, with commas or semicolons, in UTF-8. Raises ValueError where it is none, OSError where unreadable."""
    try:
        text = table.read_text(encoding="utf-8-sig")  # a spreadsheet puts a mark before the first column
        separator = ";" if ";" in text.partition("\n")[0] else ","
        reader = csv.DictReader(text.splitlines(), delimiter=separator)
        each = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} is not a CSV table in UTF-8 ({error}); save it as CSV again") from error
    return NumberedRows(frozenset(reader.fieldnames or ()), each)
