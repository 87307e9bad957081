"""Where to go after signing in: to a page of ours, never to another host."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

_LONGEST = 2_000
_NEVER = ("/sign-in", "/sign-out", "/signed-out", "/api/", "/cds-services")


def safe(place: str) -> str:
    """The path, if it is one of ours that a person can go to; else the front page."""
    ok = (
        place.startswith("/")
        and not place.startswith(("//", "/\\"))
        and place.isascii()
        and place.isprintable()
        and "\\" not in place
        and len(place) <= _LONGEST
        and not place.startswith(_NEVER)
    )
    return place if ok else "/"


def here() -> str:
    """The page that the current request wants, or that it was made from."""
    if request.headers.get("HX-Request") == "true":
        current = urlsplit(request.headers.get("HX-Current-URL", ""))
        return safe(current.path + (f"?{current.query}" if current.query else ""))
    if request.method not in {"GET", "HEAD"}:
        return "/"
    query = request.query_string.decode("ascii", errors="replace")
    return safe(request.path + (f"?{query}" if query else ""))
