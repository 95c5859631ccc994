"""The processes of a run, as the system tells of them."""

from __future__ import annotations

from pathlib import Path


def processes_of(parent: int) -> dict[str, int]:
    """role -> process id of the children of `parent`."""
    found: dict[str, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1]) == parent:
                # one that began as a copy bears its name, `smartca view`; others their command, word by word
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").split()
                found[words[words.index(b"smartca") + 1].decode()] = int(entry.name)
        except (OSError, ValueError, IndexError):
            continue
    return found
