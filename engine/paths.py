"""Where an engine's files lie."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_dir


def sheet_path(engine: Path) -> Path:
    """Where the build sheet of `engine` stands: x.engine -> x.engine.json."""
    return engine.with_name(engine.name + ".json")


def cache_folder() -> Path:
    """Where engines that were built are kept."""
    return Path(user_cache_dir("smartca")) / "engines"
