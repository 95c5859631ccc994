"""One picture and its answer in memory that a Triton server on this machine maps too: no copies through a socket."""

from __future__ import annotations

import contextlib
import sys
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

POSSIBLE = sys.platform == "linux"
FLOAT = 4


class SharedPicture:
    """A region holding `image` (1, 1, S, S), `q` of that shape and `picture` (1, 2), all float32, known to the server.

    Only this process and programs of the same user (and root) can read it. One request at a time may use it; after
    one whose end is not known the region must be given up, since the server may still write into it.
    """

    def __init__(self, client: Any, size: int, timeout_s: float) -> None:
        """Raises OSError where memory is short, the client's own exception where the server cannot map it."""
        one = FLOAT * size * size
        self._client, self._timeout_s = client, timeout_s
        self._region = SharedMemory(create=True, size=2 * one + 2 * FLOAT)
        self.name = f"smartca-{self._region.name}"
        shape = (1, 1, size, size)
        self.image: NDArray[np.float32] = np.ndarray(shape, np.float32, self._region.buf)
        self.q: NDArray[np.float32] = np.ndarray(shape, np.float32, self._region.buf, one)
        self.picture: NDArray[np.float32] = np.ndarray((1, 2), np.float32, self._region.buf, 2 * one)
        self.offsets = {"q": (one, one), "picture": (2 * FLOAT, 2 * one)}  # bytes, from where
        try:
            client.register_system_shared_memory(
                self.name, f"/{self._region.name}", 2 * one + 2 * FLOAT, client_timeout=timeout_s
            )
        except BaseException:
            self._free()
            raise

    def load(self, image: NDArray[np.float32]) -> None:
        """Put a picture in. What the server then leaves unwritten is no number, and is refused as an answer."""
        np.copyto(self.image, image)
        self.q.fill(np.nan)
        self.picture.fill(np.nan)

    def close(self) -> None:
        """Forget the region, here and at the server if it still answers."""
        with contextlib.suppress(Exception):
            self._client.unregister_system_shared_memory(self.name, client_timeout=self._timeout_s)
        self._free()

    def _free(self) -> None:
        del self.image, self.q, self.picture  # views that would keep the mapping open
        self._region.close()
        with contextlib.suppress(FileNotFoundError):
            self._region.unlink()
