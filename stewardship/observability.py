"""Logs for people who keep the service running: one line of JSON an event, ids only.

Only the fields of ``ALLOWED`` are ever written. What another library logs is cut down to its name, its
level and its own fixed words, for its arguments may hold what a request said.
"""

from __future__ import annotations

import copy
import logging
import re
import secrets
import sys
import time
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import msgspec
import structlog
from flask import Flask, Response, g, request

from stewardship.domain.people import Principal

#: Every field that a line may have. None of them can hold a patient, a medicine or what somebody typed.
ALLOWED = frozenset(
    {
        "at", "level", "event", "logger", "request_id", "method", "route", "status", "milliseconds",
        "user", "organisation", "role", "code", "fault", "frames", "version", "environment", "database",
        "policies", "products", "workers", "address", "channel", "findings", "disposition",
        "job", "done", "late", "late_seconds", "seconds",
    }
)  # fmt: skip

REQUEST_ID = "X-Request-ID"
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_PACKAGE = Path(__file__).parent

log = structlog.get_logger("stewardship")


def configure_logging(*, level: int = logging.INFO, to: TextIO | None = None) -> None:
    """Send every log line of the process, our own and others', as JSON to ``to`` (standard error)."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(to or sys.stderr)
    handler.setFormatter(
        _CutDown(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _only_allowed,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("stewardship").setLevel(level)
    # An exception's own text may quote the input; what we say about it is said in ``report_fault``.
    logging.raiseExceptions = False


def observe(app: Flask) -> None:
    """Give each request an id, and write one line about it when it has been answered."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        brought = request.headers.get(REQUEST_ID, "")
        g.request_id = brought if _ACCEPTABLE_ID.fullmatch(brought) else secrets.token_hex(12)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[REQUEST_ID] = request_id()
        log.info(
            "answered",
            method=request.method if request.method in _METHODS else "other",
            # The rule, not the address: an address may carry what somebody typed.
            route=request.url_rule.rule if request.url_rule else "none",
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.began) * 1000, 1) if "began" in g else None,
            **g.get("noted", {}),
            **whereabouts(),
        )
        return response


def note(**fields: Any) -> None:
    """Have the line about the current request say this too."""
    g.setdefault("noted", {}).update(fields)


def request_id() -> str:
    """The id of the request being answered; it is in the answer, in its problem document and in the logs."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(12)
    known: str = g.request_id
    return known


def whereabouts() -> dict[str, str]:
    """Which request this is and who makes it, for a log line."""
    about = {"request_id": request_id()}
    by = g.get("principal")
    if isinstance(by, Principal):
        about |= {"user": by.user_id, "organisation": by.organisation_id, "role": by.role.value}
    return about


def report_fault(cause: BaseException) -> None:
    """Log a fault of ours: its type and where it came from. Its text is left out, for it may quote input."""
    log.error("fault", fault=type(cause).__qualname__, frames=frames_of(cause), **whereabouts())


def frames_of(cause: BaseException) -> list[str]:
    """Where a fault came from, for a log line: places in the program, no values."""
    return [
        f"{_place(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(cause.__traceback__)[-12:]
    ]


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _place(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_PACKAGE.parent)) if path.is_relative_to(_PACKAGE) else path.name


def _only_allowed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in ALLOWED and value is not None}


class _CutDown(structlog.stdlib.ProcessorFormatter):
    """Our own lines whole; of others' only the template, without what was filled in, and no traceback."""

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):
            record = copy.copy(record)
            # A text that was put together beforehand has no template that could be told from its values.
            record.msg = str(record.msg) if record.args else "said something"
            record.args = ()
            record.exc_info = record.exc_text = record.stack_info = None
        return super().format(record)


def _json(event: Any, **_: Any) -> str:
    # JSON escapes control characters, so that one event is one line whatever it holds.
    return msgspec.json.encode(event).decode()
