"""igtl://HOST:IGTL_PORT/DEVICE: where OpenIGTLink is spoken."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ...errors import InputError

IGTL_PORT = 18944  # OpenIGTLink's own


class IgtlAddress(NamedTuple):
    """A machine, a port, and the name of one of its devices; '' for the first that sends pictures."""

    host: str
    port: int
    device: str = ""

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_igtl(rest: str, port: int = IGTL_PORT) -> IgtlAddress:
    """What stands behind `igtl:`. Raises InputError where that is no address."""
    try:
        parts = urlsplit(f"igtl:{rest}")
        host, asked = parts.hostname, parts.port
    except ValueError:
        host = asked = None
        parts = None
    device = "" if parts is None else unquote(parts.path.strip("/"))
    if parts is None or not host or asked == 0 or parts.query or parts.username or len(device.encode()) > 20:
        shown = re.sub(r"//.*@", "//", rest)[:80]  # a password is said nowhere
        raise InputError(
            f"'igtl:{shown}' is no address of OpenIGTLink; write igtl://HOST:{IGTL_PORT} or igtl://HOST:{IGTL_PORT}/DEVICE"
        )
    return IgtlAddress(host, asked or port, device)
