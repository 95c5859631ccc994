"""The keys of this machine, and of those it knows: files, in CURVE's own certificate format (zmq.auth).

    KEYS/own.key, own.key_secret     this machine's pair; the secret never leaves it
    KEYS/allowed/NAME.key            machines that may send to, and look at, an engine here
    KEYS/engines/HOST.key            engines that machines here may talk to, by the host as people type it

KEYS is `keys` in the user's configuration folder, or what SMARTCA_KEYS names. Only this user may enter it.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import zmq.auth
from zmq.utils import z85

from ...errors import FileError, InputError
from ...files import write_whole

Kind = Literal["allowed", "engines"]
ENVIRONMENT = "SMARTCA_KEYS"
KEY_LENGTH = 40  # letters of Z85
_NAME = re.compile(r"[\w.:-]{1,100}")


class KeyProblem(InputError):
    """A key, or the name of one, that cannot be used; the message says the cure."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key and its secret, in Z85."""

    public: bytes
    secret: bytes


def usual_folder() -> Path:
    """Where this user's keys are."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("smartca", appauthor=False) / "keys"


def own_name() -> str:
    """What this machine is called, as the name of a key."""
    return re.sub(r"[^\w.-]", "-", socket.gethostname())[:60] or "this-machine"


def check_key(text: str) -> bytes:
    """A public key as typed or received. Raises KeyProblem for what is none."""
    key = text.strip().encode()
    try:
        good = len(key) == KEY_LENGTH and len(z85.decode(key)) == 32
    except Exception:  # whatever the decoder raises on letters that are none of its own
        good = False
    if not good:
        raise KeyProblem(f"this is no public key: give the {KEY_LENGTH} letters that `smartca keys list` shows there")
    return key


class KeyRing:
    """The keys in `folder`; what is written is complete or not there."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or usual_folder()

    @property
    def has_own(self) -> bool:
        """Whether this machine has a pair already."""
        return self._secret.exists()

    def own(self) -> KeyPair:
        """This machine's pair, made now if there is none. Raises FileError."""
        if not self.has_own:
            self.renew()
        public, secret = self._read(self._secret)
        if secret is None:
            raise FileError(f"{self._secret} holds no secret key; make a new pair with `smartca keys new --force`")
        return KeyPair(public, secret)

    def renew(self) -> KeyPair:
        """A new pair for this machine: whoever knew the old one must be paired again. Raises FileError."""
        self._private(self.folder)
        try:
            # beside first, so that no half a pair takes the place of a good one
            public, secret = (Path(name) for name in zmq.auth.create_certificates(self.folder, "new"))
            secret.chmod(0o600)
            public.replace(self.folder / "own.key")
            secret.replace(self._secret)
        except OSError as error:
            raise FileError(f"no key can be written into {self.folder} ({error.strerror}); make room there") from error
        return self.own()

    def names(self, kind: Kind) -> dict[str, bytes]:
        """name -> public key; a file that holds no key is as if it were not there."""
        found = {}
        for path in sorted((self.folder / kind).glob("*.key")):
            try:
                found[_typed(path.stem)] = check_key(self._read(path)[0].decode("ascii", "replace"))
            except (KeyProblem, FileError):
                continue
        return found

    def store(self, kind: Kind, name: str, key: bytes) -> None:
        """Remember `key` under `name`, in place of an older one. Raises KeyProblem or FileError."""
        if not _NAME.fullmatch(name):
            raise KeyProblem(f"{name!r} cannot be a key's name; use letters, digits, dots and dashes")
        self._private(self.folder / kind)
        try:
            write_whole(self._path(kind, name), b'curve\n    public-key = "' + key + b'"\n')
        except OSError as error:
            raise FileError(f"the key of {name} cannot be written ({error.strerror}); make room there") from error

    def remove(self, kind: Kind, name: str) -> bool:
        """Forget `name`; whether it was known. Raises FileError."""
        try:
            self._path(kind, name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise FileError(f"the key of {name} cannot be removed ({error.strerror}); remove its file") from error
        return True

    def stamp(self, kind: Kind) -> int:
        """Changes whenever a key of that kind is added, replaced or removed."""
        try:
            return (self.folder / kind).stat().st_mtime_ns
        except OSError:
            return 0

    @property
    def _secret(self) -> Path:
        return self.folder / "own.key_secret"

    def _path(self, kind: Kind, name: str) -> Path:
        # a colon (IPv6) is no letter for a file's name on Windows
        return self.folder / kind / f"{name.replace(':', '%3A')}.key"

    def _private(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for each in (self.folder, folder):
                each.chmod(0o700)
        except OSError as error:
            raise FileError(f"the folder of keys {folder} cannot be made ({error.strerror}); make it") from error

    @staticmethod
    def _read(path: Path) -> tuple[bytes, bytes | None]:
        try:
            return zmq.auth.load_certificate(path)
        except (OSError, ValueError) as error:
            raise FileError(
                f"{path} holds no key; `smartca keys new --force` makes a pair, `smartca keys pair` exchanges keys"
            ) from error


def _typed(stem: str) -> str:
    return stem.replace("%3A", ":")
