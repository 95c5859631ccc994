"""Where a Triton server is, and what may be sent there in the clear."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from ..contract import EngineError

EXAMPLE_URL = "triton://127.0.0.1:8001/smartca"
OPTIONS = ("ca", "cert", "key", "priority", "memory")


@dataclass(frozen=True, slots=True)
class Address:
    """A model on a server.

    host: host:port of its gRPC. tls: encrypted; ca, cert and key are PEM files: whom to trust (None = the system's
    list), and who we are. priority: 1 = live, 2 = may wait. memory: may pictures go through shared memory.
    """

    host: str
    model: str
    local: bool
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    priority: int = 1
    memory: bool = True


def parse(url: str, insecure: bool = False) -> Address:
    """`triton://HOST:PORT/MODEL`, or `tritons://` for TLS, with `?ca=FILE&cert=FILE&key=FILE&priority=2&memory=off`.

    Pictures of patients travel: in the clear only on this machine, or anywhere once `insecure` is typed.
    Raises EngineError.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    model = unquote(parts.path.strip("/"))
    if parts.scheme not in ("triton", "tritons") or not parts.hostname or not port or not model or "/" in model:
        raise EngineError(f"{url!r} is not a Triton server's address; write it as {EXAMPLE_URL}")
    options = _options(url, parts.query)
    local = _is_loopback(parts.hostname)
    tls = parts.scheme == "tritons"
    if not (tls or local or insecure):
        raise EngineError(
            f"{url} leaves this machine and pictures would travel unencrypted; "
            "use tritons:// (TLS), or add --insecure if the network is yours alone"
        )
    files = {name: options.get(name) for name in ("ca", "cert", "key")}
    _check_files(tls, files)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    priority, memory = int(options.get("priority", "1")), options.get("memory", "on") == "on"
    return Address(f"{host}:{port}", model, local, tls, **files, priority=priority, memory=memory and local)


def _options(url: str, query: str) -> dict[str, str]:
    given = parse_qs(query, keep_blank_values=True)
    for name in given:
        if name not in OPTIONS:
            raise EngineError(f"{url} has the option {name!r}; there are {', '.join(OPTIONS)}")
    options = {name: values[-1] for name, values in given.items()}
    if options.get("priority", "1") not in ("1", "2"):
        raise EngineError(f"the priority in {url} is 1 (live) or 2 (may wait), not {options['priority']!r}")
    if options.get("memory", "on") not in ("on", "off"):
        raise EngineError(f"memory in {url} is on or off, not {options['memory']!r}")
    return options


def _check_files(tls: bool, files: dict[str, str | None]) -> None:
    for name, path in files.items():
        if path is not None and not tls:
            raise EngineError(f"{name}= needs tritons://; triton:// does not encrypt")
        if path is not None and not Path(path).is_file():
            raise EngineError(f"there is no file {path} ({name}= of the Triton server's address)")
    if (files["cert"] is None) != (files["key"] is None):
        raise EngineError("cert= and key= of the Triton server's address belong together; give both or neither")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
