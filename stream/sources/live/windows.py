"""Where a window is on an X11 screen, by its title."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import Any

from ....errors import FileError, InputError, MissingPackage

_DEEPEST = 6  # windows of windows: a window manager puts one or two around each


class Windows:
    """Looks for the one window whose title holds `title`, in any case; use it with `with`.

    Raises InputError where several do, or where the system has no X11; FileError where none does or no screen is.
    """

    def __init__(self, title: str) -> None:
        if sys.platform in ("win32", "darwin"):
            raise InputError("windows are found by their title on X11 only; give screen:x,y,width,height")
        try:
            from Xlib.display import Display as XDisplay
            from Xlib.error import ConnectionClosedError, DisplayError, XError
        except ImportError as error:
            raise MissingPackage(
                "finding a window needs python-xlib; install it with `pip install 'smartca[screen]'`"
            ) from error
        self._title, self._gone = title, (XError, ConnectionClosedError, OSError)
        try:
            self._display = XDisplay()
        except (DisplayError, OSError) as error:
            raise FileError("there is no screen to be read here; start smartca where the pictures are seen") from error
        self._window: Any = None

    def place(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the window's own pictures, without its frame."""
        root = self._display.screen().root
        for _ in range(2):  # one that is gone may have come again as another
            if self._window is None:
                self._window = self._found(root)
            with suppress(*self._gone):
                size = self._window.get_geometry()
                if self._window.get_attributes().map_state == 2:  # IsViewable
                    corner = root.translate_coords(self._window, 0, 0)
                    return corner.x, corner.y, size.width, size.height
            self._window = None
        raise FileError(f"the window {self._title[:60]} is not to be seen; open it, and put it in front")

    def _found(self, root: Any) -> Any:
        titled: dict[int, tuple[str, Any]] = {}
        self._look(root, titled, 0)
        wanted = self._title.casefold()
        fits = [(words, window) for words, window in titled.values() if wanted in words.casefold()]
        exact = [(words, window) for words, window in fits if words.casefold() == wanted]
        best = exact or fits
        if len(best) > 1:
            raise InputError(
                f"{len(best)} windows have '{self._title[:60]}' in their title; give more of it, or "
                "screen:x,y,width,height"
            )
        if not best:
            raise FileError(f"there is no window with '{self._title[:60]}' in its title; open it, or give another")
        return best[0][1]

    def _look(self, window: Any, titled: dict[int, tuple[str, Any]], depth: int) -> None:
        """All windows with a title that can be seen."""
        with suppress(*self._gone):  # it may be closed meanwhile
            for child in window.query_tree().children:
                with suppress(*self._gone):
                    words = self._words(child)
                    if words and child.get_attributes().map_state == 2:
                        titled[child.id] = words, child
                    elif depth < _DEEPEST:
                        self._look(child, titled, depth + 1)

    def _words(self, window: Any) -> str:
        named = window.get_full_property(self._display.intern_atom("_NET_WM_NAME"), 0)
        words = named.value if named is not None else window.get_wm_name()
        return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words or "")

    def __enter__(self) -> Windows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(*self._gone):
            self._display.close()
