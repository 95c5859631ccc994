"""A clinic's labelled frames: read, counted, and divided by patient into those to learn from and those to judge by."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..pictures.datasets import Data, FilesOfSplits, Labels, check_samples, open_data
from ..pictures.labelled import ALL, SPLITS, belongs, read_table
from ..pictures.outlines.finding import coco_of_splits
from ..pictures.pixels import Grey
from ..pictures.tables import read_rows
from ..train.study.pictures import StudyPicture, StudyPictures

FEWEST, MOST = 5, 200  # frames
HELD = 4  # of so many patients (or pictures, where none are known) one is held out
LARGEST = 0.5  # of all frames: a patient who has more is learnt from
LEAST_HELD = 2  # frames
FRAME_LONGEST = 512  # pixels along a frame's longer side, which leave room to crop
LIST = "patients.csv"


@dataclass(frozen=True)
class ClinicFrames:
    """Frames to learn from and frames held out, at most 512 pixels long, and how they were told apart.

    patients: how many there are; 0 where nothing says whose a frame is. whose: the patient of each frame to learn from;
    its name, where nothing says. digest: of all pixels, masks, and the division.
    """

    learn: StudyPictures
    held: StudyPictures
    patients: int
    as_given: bool  # by split.csv, or by COCO files that each hold a split
    left_out: int
    digest: str
    whose: Sequence[str]

    @property
    def healthy(self) -> list[Grey]:
        """Those to learn from that show no tear."""
        return [pixels for pixels, mask in self.learn.items if not mask.any()]

    def in_words(self) -> list[str]:
        """What a person is told about the frames."""
        parts = []
        for name, pictures in (("to learn from", self.learn), ("held out", self.held)):
            torn = sum(bool(mask.any()) for _, mask in pictures.items)
            parts.append(f"{len(pictures)} {name} ({torn} with a tear, {len(pictures) - torn} healthy)")
        whose = f"of {self.patients} patients" if self.patients else "of patients that nobody names"
        how = "as the folder says" if self.as_given else "by patient" if self.patients else "by picture"
        told = [f"{len(self.learn) + len(self.held)} frames {whose}, divided {how}: {', '.join(parts)}"]
        if not self.patients:
            told.append(
                "no patients are known, so the same one may be on both sides and the held-out score is optimistic; "
                f"write {LIST} (file,patient) into the folder for an honest one"
            )
        if self.left_out:
            told.append(f"{self.left_out} frames of other splits, such as test, are not looked at")
        return told


def read_frames(
    folder: Path,
    mask_value: int | None = None,
    label: Labels = None,
    progress: Callable[[int, int], None] | None = None,
) -> ClinicFrames:
    """All labelled frames of `folder`, in one of datasets.FORMS, checked and divided.

    Raises ValueError or OSError, in one sentence with its cure: too few or too many frames, no tear on one of the two
    sides, a patient on both sides, a picture that is there twice, an unreadable file.
    """
    data = open_data(folder, ALL, mask_value, label)
    names = list(data.files)
    if len(names) < FEWEST:
        raise InputError(f"{folder} holds {len(names)} labelled frames; give {FEWEST} or more, ten of them do well")
    if len(names) > MOST:
        raise InputError(
            f"{folder} holds {len(names)} labelled frames, more than {MOST}: `smartca train segment --start-from` "
            "learns from that many"
        )
    digest = check_samples(data, progress).digest
    whole = [StudyPicture(*data[n]) for n in range(len(data))]
    _refuse_twice(folder, whole, names)
    pictures = StudyPictures(whole, names).shrunk(FRAME_LONGEST)
    torn = [bool(mask.any()) for _, mask in pictures.items]
    root = _root(folder)
    patients, given = _patients(root, names), _given(root, data)
    learn, held = _sides(root, given, names, patients, torn)
    _need(folder, [torn[n] for n in learn], [torn[n] for n in held])
    division = hashlib.sha256(f"{digest} {learn} {held}".encode()).hexdigest()[:32]
    told = len({patients[n] for n in (*learn, *held)}) if patients else 0
    left = len(names) - len(learn) - len(held)
    whose = [(patients or names)[n] for n in learn]
    return ClinicFrames(_some(pictures, learn), _some(pictures, held), told, given is not None, left, division, whose)


def _root(folder: Path) -> Path:
    """Where the tables stand: beside the annotations, or beside the folder `annotations` that they are in."""
    root = folder if folder.is_dir() else folder.parent
    return root.parent if not (root / "split.csv").is_file() and root.name == "annotations" else root


def _refuse_twice(folder: Path, pictures: Sequence[StudyPicture], names: Sequence[str]) -> None:
    """A picture that is there twice could be learnt from and judged by."""
    first: dict[bytes, int] = {}
    for n, (pixels, _) in enumerate(pictures):
        other = first.setdefault(hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest(), n)
        if other != n:
            raise InputError(f"{names[other]} and {names[n]} of {folder} are the same picture; take one of them away")


def _some(pictures: StudyPictures, places: Sequence[int]) -> StudyPictures:
    return StudyPictures([pictures.items[n] for n in places], [pictures.names[n] for n in places])


def _need(folder: Path, learn: Sequence[bool], held: Sequence[bool]) -> None:
    """Whether the frames of both sides suffice; each says whether it shows a tear."""
    if len(learn) + len(held) < FEWEST:
        raise InputError(f"{folder} leaves {len(learn) + len(held)} frames to work with; give {FEWEST} or more")
    if len(held) < LEAST_HELD:
        raise InputError(f"{folder} leaves {len(held)} frames to judge by; {LEAST_HELD} or more must be held out")
    for side, what in ((learn, "is to learn from"), (held, "is held out")):
        if not any(side):
            raise InputError(
                f"{f'none of the {len(side)} frames' if side else 'no frame'} of {folder} that {what} shows a tear; "
                "outline tears of more patients, or of more pictures"
            )


def _patients(root: Path, names: Sequence[str]) -> list[str]:
    """Whose each frame is: patients.csv, or the column `patient` of split.csv; empty where neither says."""
    for table in (root / LIST, root / "split.csv"):
        told = _column(table, must=table.name == LIST) if table.is_file() else {}
        if not told:
            continue
        lacking = [name for name in names if not told.get(name)]
        if lacking:
            raise InputError(f"{table} does not say whose {lacking[0]} is; give every frame its patient")
        return [told[name] for name in names]
    return []


def _column(table: Path, must: bool) -> dict[str, str]:
    """file -> patient of a table with commas or semicolons; empty where it has no such column and need not."""
    columns, rows = read_rows(table)
    if not rows or not {"file", "patient"} <= columns:
        if must:
            raise InputError(f"{table} needs a first line with the columns file,patient and a line for every frame")
        return {}
    found: dict[str, str] = {}
    for _, row in rows:
        name, patient = (row["file"] or "").strip(), (row["patient"] or "").strip()
        if found.setdefault(name, patient) != patient:
            raise InputError(f"{table} gives {name} to two patients, {found[name]} and {patient}; keep one")
    return found


def _given(root: Path, data: Data) -> dict[str, list[int]] | None:
    """The frames of each split, by split.csv or by COCO files that each hold one; None where nothing says so."""
    if isinstance(data, FilesOfSplits):
        sources = [part.source for part in data.parts for _ in range(len(part))]
        files = {split: set(coco_of_splits(root, split)) for split in SPLITS}
        return {split: [n for n, source in enumerate(sources) if source in files[split]] for split in SPLITS}
    if not (root / "split.csv").is_file():
        return None
    words = dict(read_table(root / "split.csv"))
    return {split: [n for n, name in enumerate(data.files) if belongs(words.get(name, ""), split)] for split in SPLITS}


def _sides(
    root: Path,
    given: dict[str, list[int]] | None,
    names: Sequence[str],
    patients: Sequence[str],
    torn: Sequence[bool],
) -> tuple[list[int], list[int]]:
    """Frames to learn from, and held out: the splits train and val. Those of the split test are never looked at.

    Where there is no val, a part of train is held out, and of all frames where no split is given.
    """
    if given is None:
        return _divided(range(len(names)), names, patients, torn)
    if patients:
        _refuse_both_sides(root, [{patients[n] for n in places} for places in given.values()])
    if not given["train"]:
        raise InputError(f"the splits in {root} give no frame to train, so that there is nothing to learn from")
    if given["validate"]:
        return given["train"], given["validate"]
    return _divided(given["train"], names, patients, torn)


def _refuse_both_sides(root: Path, splits: Sequence[set[str]]) -> None:
    seen: set[str] = set()
    for split in splits:
        if seen & split:
            raise InputError(
                f"the patient {min(seen & split)} is on both sides of the splits in {root}, so that the score would "
                "say nothing: give all frames of one patient the same split"
            )
        seen |= split


def _divided(
    places: Sequence[int], names: Sequence[str], patients: Sequence[str], torn: Sequence[bool]
) -> tuple[list[int], list[int]]:
    """`places` to learn from and held out: about a quarter of those with a tear and of the healthy ones.

    All frames of one patient stay together, and one who has most of them is learnt from. Which is decided by the names
    alone.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for n in places:
        groups[patients[n] if patients else names[n]].append(n)
    if patients and len(groups) < 2:
        raise InputError(f"all frames are of the patient {next(iter(groups))}: give those of a second one, to judge by")
    small = {name for name, frames in groups.items() if len(frames) <= LARGEST * len(places)}
    order = sorted(groups, key=lambda name: (name not in small, hashlib.sha256(os.fsencode(name)).digest()))
    with_tear = [name for name in order if any(torn[n] for n in groups[name])]
    without = [name for name in order if name not in with_tear]
    if len(with_tear) < 2:
        number = f"{len(with_tear) or 'no'} {'patient' if patients else 'frame'}"
        raise InputError(f"{number} shows a tear; two at least are needed, one to learn from and one to judge by")
    chosen, others = list(with_tear[::HELD]), [*without, *(name for n, name in enumerate(with_tear) if n % HELD)]
    chosen += without[::HELD] if len(without) >= HELD else []
    wanted = max(LEAST_HELD, round(len(places) / HELD))
    for name in others:
        if name in chosen or sum(len(groups[one]) for one in chosen) >= LEAST_HELD:
            continue
        chosen.append(name)
    while len(chosen) > 1 and sum(len(groups[one]) for one in chosen[:-1]) >= wanted:
        chosen.pop()
    held = sorted(n for name in chosen for n in groups[name])
    return sorted(set(places) - set(held)), held
