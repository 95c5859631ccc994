"""A folder of images, or one image; with truth masks where the folder has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import InputError, RunError, SmartcaError, sentence
from ...pictures.animations import page_times
from ...pictures.depth import Depth
from ...pictures.filetypes import STILL_SUFFIXES, files_in, is_hidden
from ...pictures.masks import mask_path, read_truth
from ...pictures.pixels import Mask
from ...pictures.stills import page_shapes, read_stills
from .contract import Picture, Shape, Source

Truth = Callable[[Path, tuple[int, ...]], Mask | None]  # (a picture's file, its rows and columns) -> its tear


class Images(Source):
    """The images of a folder in the order of their names (2.png before 10.png), or a single one, page by page.

    `folder/images`, and folders in it, with `folder/masks` gives every image that has one its truth: the mask of the
    same name, in which whatever is not black is tear, or what has `mask_value`; `truth` says it otherwise. With
    truth an image is one page. 16-bit images become 8-bit by one shift for all of them, taken from the first of them:
    the smallest of 8, 10, 12, 14 and 16 bits that holds its brightest pixel. A single animated PNG or WebP keeps its
    times.
    """

    def __init__(self, path: Path, mask_value: int | None = None, truth: Truth | None = None) -> None:
        self.name = path.name
        self.folder = path / "images" if (path / "images").is_dir() else path
        self.paths = _in_folder(self.folder, path) if path.is_dir() else [path]
        self.mask_value = mask_value
        self.truth = truth or (self._mask if (path / "masks").is_dir() else None)
        self.masks = path / "masks"
        self._shapes = [page_shapes(image) for image in self.paths]
        self.count = sum(map(len, self._shapes))
        self.unrelated = len(self.paths) > 1 or self.count == 1
        self._times = page_times(self.paths[0], self.count) if len(self.paths) == 1 else None
        if self._times is not None:
            self.fps = (self.count - 1) * 1e9 / self._times[-1]
        self._depth = Depth()
        next(self._of(self.paths[0]))

    def sizes(self) -> Iterator[tuple[str, Shape]]:
        """See `Source.sizes`."""
        for path, shapes in zip(self.paths, self._shapes, strict=True):
            for page, shape in enumerate(shapes, 1):
                if shape is not None:
                    yield (f"page {page} of {path}" if len(shapes) > 1 else str(path)), shape

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source.pictures`."""
        number = 0
        for path, shapes in zip(self.paths, self._shapes, strict=True):
            pages = len(shapes)
            skipped = max(0, start - number)
            if skipped < pages:
                try:
                    for read, picture in enumerate(self._of(path, skipped), skipped + 1):
                        yield picture
                        skipped = read
                except (SmartcaError, OSError) as error:
                    raise RunError(f"{sentence(error)}; {number + skipped} of {self.count} images were read") from error
            number += pages

    def _of(self, path: Path, start: int = 0) -> Iterator[Picture]:
        """The pages of an image from number `start`."""
        for number, pixels in enumerate(read_stills(path, self._depth, start, self.truth is not None), start):
            truth = None if self.truth is None else self.truth(path, pixels.shape[:2])
            yield Picture(pixels, truth, None if self._times is None else self._times[number])

    def _mask(self, path: Path, shape: tuple[int, ...]) -> Mask | None:
        mask = mask_path(self.masks, path.relative_to(self.folder).as_posix())
        return read_truth(mask, shape, self.mask_value) if mask.is_file() else None


def _in_folder(folder: Path, given: Path) -> list[Path]:
    found = files_in(folder, STILL_SUFFIXES, deep=folder != given)
    if not found:
        below = next((part for part in sorted(folder.iterdir()) if part.is_dir() and _has_stills(part)), None)
        cure = f"it takes {', '.join(STILL_SUFFIXES)}" if below is None else f"give a folder in it, such as {below}"
        raise InputError(f"there is no image in the folder {folder}; {cure}")
    return sorted(found, key=lambda path: _by_number(path.relative_to(folder)))


def _has_stills(folder: Path) -> bool:
    try:
        return not is_hidden(Path(folder.name)) and bool(files_in(folder, STILL_SUFFIXES))
    except OSError:  # it may not be read
        return False


def _by_number(path: Path) -> list[list[tuple[int, str]]]:
    """Numbers in a name count as numbers."""
    names = (re.split(r"(\d+)", part) for part in path.parts)
    return [[(int(part), part) if part.isdigit() else (-1, part) for part in name] for name in names]
