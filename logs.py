"""Logs: what an engineer reads when somebody calls. The standard library's logging, and nothing leaves this machine.

Each module logs under its own name what happened, as a fixed phrase, and with what, as `extra` fields. A source is
called by the name that people are shown, never by its path; no pixels, no text from a screen, no credentials.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from io import FileIO
from logging.handlers import RotatingFileHandler
from pathlib import Path

from .errors import FileError

log = logging.getLogger(__name__)
BUG = 70  # the exit code of a process that met a bug of ours: BSD's EX_SOFTWARE
MOST_BYTES, OLDER_FILES = 1 << 20, 3  # of the file for bugs
_STANDARD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is logged, and where. verbose: 0 warnings, 1 INFO, 2 DEBUG on stderr; a file gets INFO at least."""

    verbose: int = 0
    file: str | None = None
    as_json: bool = False  # in the file, or on stderr where there is none

    def arguments(self) -> list[str]:
        """The same options again, for a process of ours."""
        file = [] if self.file is None else ["--log-file", self.file]
        return ["--verbose"] * min(self.verbose, 2) + file + ["--log-json"] * self.as_json


class _Writer(logging.Handler):
    """Hands over each record in one write, so that processes which share a file leave only whole lines in it."""

    def __init__(self, file: FileIO | None, formatter: logging.Formatter, level: int) -> None:
        super().__init__(level)
        self.setFormatter(formatter)
        self._file, self._failed = file, False  # None: stderr

    def put(self, record: logging.LogRecord) -> None:
        """Write one record. Raises OSError."""
        text = self.format(record) + "\n"
        if self._file is None:
            _on_stderr(text)
            return
        with self.lock or nullcontext():
            rest = memoryview(text.encode(errors="backslashreplace"))
            while rest.nbytes:  # once, and the system appends it as a whole; again only where a disk fills up
                rest = rest[self._file.write(rest) :]

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; of a log that cannot be written any more it is told once, and the work goes on."""
        try:
            self.put(record)
        except OSError as error:
            if not self._failed:
                self._failed = True
                _on_stderr(f"smartca: the log can no longer be written ({error.strerror}); the work goes on\n")
        except Exception:  # a record that cannot be put into words must not stop the work: logging's own way to tell
            self.handleError(record)

    def close(self) -> None:
        """Write nothing more."""
        super().close()
        if self._file is not None:
            self._file.close()


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """time, level, logger, process, pid, message, the extra fields, and traceback where there is one."""
        words = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": _state.role,
            "pid": record.process,
            "message": record.getMessage(),
        }
        traced = {"traceback": _trace(record)} if record.exc_info else {}
        return json.dumps({**words, **_fields(record), **words, **traced}, default=str)


class _Text(logging.Formatter):
    """For people: a line, and below it the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, process and logger before the message, the extra fields behind it."""
        who = f"{_time(record)} {record.levelname} {_state.role or 'smartca'}[{record.process}] {record.name}"
        return f"{who}: {_line(record)}" + (f"\n{_trace(record).rstrip()}" if record.exc_info else "")


class _Short(logging.Formatter):
    """For the terminal: no traceback, unless somebody looks for a bug."""

    def format(self, record: logging.LogRecord) -> str:
        """Level and message."""
        traced = f"\n{_trace(record).rstrip()}" if record.exc_info and debugging() else ""
        return f"{record.levelname}: {_line(record)}{traced}"


class _State:
    """What `start` has set up in this process."""

    settings = LogSettings()
    role = ""
    file: _Writer | None = None
    handlers: tuple[logging.Handler, ...] = ()


_state = _State()


def settings() -> LogSettings:
    """Those of the last `start`."""
    return _state.settings


def start(wanted: LogSettings, role: str) -> None:
    """Log as `wanted` from now on, in a process called `role`. Raises FileError where the file cannot be written."""
    file = None if wanted.file is None else _open(wanted.file)
    stop()
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(wanted.verbose, 2)]
    _state.settings, _state.role = wanted, role
    detailed = _Json() if wanted.as_json else _Text()
    handlers: list[logging.Handler] = [_Writer(None, _Json() if wanted.as_json and file is None else _Short(), level)]
    if file is not None:
        _state.file = _Writer(file, detailed, min(level, logging.INFO))
        handlers.append(_state.file)
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    _state.handlers = tuple(handlers)
    # ours only: what libraries say below a warning is for their own engineers
    logging.getLogger(__package__).setLevel(min(handler.level for handler in handlers))


def stop() -> None:
    """Log as before `start`."""
    for handler in _state.handlers:
        logging.getLogger().removeHandler(handler)
        handler.close()
    logging.getLogger(__package__).setLevel(logging.NOTSET)
    _state.handlers, _state.file, _state.settings = (), None, LogSettings()


def debugging() -> bool:
    """Whether SMARTCA_DEBUG asks for tracebacks on stderr."""
    return os.environ.get("SMARTCA_DEBUG", "0") not in ("", "0")


def tell_bug(error: BaseException) -> None:
    """A bug of ours: one sentence on stderr, and the whole traceback in the log or, failing that, on stderr."""
    record = log.makeRecord(
        *(log.name, logging.CRITICAL, "", 0, "a bug: %s", (type(error).__name__,)),
        (type(error), error, error.__traceback__),
    )
    try:
        where = f"its traceback is in {_keep(record)}"
        on_stderr = debugging()
    except Exception:  # whatever hinders the log: the traceback must not be lost
        where, on_stderr = "its traceback is above, as no log could be written", True
    trace = _trace(record) if on_stderr else ""
    what = " ".join(str(error).split())[:200]
    name = f"{type(error).__name__}: {what}" if what else type(error).__name__
    _on_stderr(f"{trace}smartca: this is a bug in smartca, no mistake of yours ({name}); {where}: please report it\n")


def bug_log() -> Path:
    """Where bugs are written down if there is no --log-file."""
    from platformdirs import user_log_dir

    return Path(user_log_dir("smartca")) / "smartca.log"


class _Kept(RotatingFileHandler):
    """Raises where it cannot write."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Called while the error is handled."""
        raise


def _keep(record: logging.LogRecord) -> Path:
    """Write a bug's record to the log file, or else to the file for bugs; says to which. Raises OSError."""
    if _state.file is not None and _state.settings.file is not None:
        _state.file.put(record)
        return Path(_state.settings.file)
    path = bug_log()
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _Kept(path, maxBytes=MOST_BYTES, backupCount=OLDER_FILES, encoding="utf-8", errors="backslashreplace")
    kept.setFormatter(_Text())
    try:
        kept.emit(record)
    finally:
        kept.close()
    return path


def ours(error: BaseException) -> bool:
    """Whether `error` went through code of ours, and not only through a library's."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(f"{frame.f_globals.get('__name__')}.".startswith(f"{__package__}.") for frame in frames)


# how a line of ours begins, as text and as JSON: a log goes behind nothing else
LINE_BEGINS = rb'\d{4}-\d\d-\d\dT\d\d:|\{"time"'


def _open(path: str) -> FileIO:
    try:
        if Path(path).is_file():  # a device or a pipe is nobody's picture
            with FileIO(path) as there:
                begins = there.read(64)
            if begins and not re.match(LINE_BEGINS, begins):
                raise FileError(f"{path} is there already and is no log of smartca; give --log-file another name")
        return FileIO(path, "a")
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"the log {path} cannot be written ({error.strerror}); give --log-file another place"
        ) from error


def _on_stderr(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _time(record: logging.LogRecord) -> str:
    """ISO 8601 in UTC."""
    return (
        datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _line(record: logging.LogRecord) -> str:
    """Message and fields; what a peer put into them makes no second line, and no change of the terminal."""
    fields = ", ".join(f"{name}={value}" for name, value in _fields(record).items())
    words = record.getMessage() + (f" ({fields})" if fields else "")
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], words)


def _trace(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
