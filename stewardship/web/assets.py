"""What a page needs beside its text, served from here: style, scripts, fonts, icons.

Every address holds the hash of all of them together, so that a browser keeps each for a year and never
mixes two versions; paths between them (a style's fonts) stay as they are in the folder.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from mimetypes import guess_type
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint, Response, abort, request
from markupsafe import Markup

from stewardship.auth import public

room = Blueprint("assets", __name__)

_FOLDER = Path(__file__).parent / "static"
_ICONS = _FOLDER / "vendor" / "uswds" / "img" / "usa-icons"
_SERVED = {".css", ".js", ".svg", ".woff2", ".txt", ".md", ""}
_TEXT = {".css", ".js", ".svg"}
#: Smaller than this, packing saves nothing.
_WORTH_PACKING = 1_000


class Kept(NamedTuple):
    """One file as it is sent: its bytes, the same packed when that is worth it, and its type."""

    plain: bytes
    packed: bytes | None
    content_type: str


@lru_cache(maxsize=1)
def version() -> str:
    """What all files together are: twelve digits of a SHA-256 over their names and content."""
    whole = hashlib.sha256()
    for path in sorted(p for p in _FOLDER.rglob("*") if p.is_file()):
        whole.update(path.relative_to(_FOLDER).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a file of the folder."""
    return f"/static/{version()}/{name}"


@lru_cache(maxsize=128)
def icon(name: str) -> Markup:
    """An icon of the design system, drawn in the page: decoration, hidden from a screen reader."""
    drawn = (_ICONS / f"{name}.svg").read_text(encoding="utf-8")
    start = '<svg class="usa-icon" aria-hidden="true" focusable="false" role="img" '
    # A file of this folder, not a word of anybody's.
    return Markup(drawn.replace("<svg ", start, 1))  # noqa: S704


@room.get("/static/<known>/<path:name>")
@public
def file(known: str, name: str) -> Response:
    """One file. An address of another version gets today's file, which is then not kept."""
    kept = _kept(name)
    if kept is None:
        abort(404)
    packed = kept.packed is not None and "gzip" in request.headers.get("Accept-Encoding", "")
    response = Response(kept.packed if packed else kept.plain, content_type=kept.content_type)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    if kept.packed is not None:
        response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if known == version() else "no-cache"
    )
    return response


@lru_cache(maxsize=256)
def _kept(name: str) -> Kept | None:
    if name not in _names():
        return None
    path = _FOLDER / name
    plain = path.read_bytes()
    kind = guess_type(path.name)[0] or ("font/woff2" if path.suffix == ".woff2" else "text/plain")
    text = kind.startswith("text/") or path.suffix in _TEXT
    worth = path.suffix in _TEXT and len(plain) > _WORTH_PACKING
    packed = gzip.compress(plain, compresslevel=9, mtime=0) if worth else None
    return Kept(plain, packed, f"{kind}; charset=utf-8" if text else kind)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    """What may be asked for: the files that are there, so that no path leads out of the folder."""
    found = (p for p in _FOLDER.rglob("*") if p.is_file() and p.suffix in _SERVED)
    return frozenset(p.relative_to(_FOLDER).as_posix() for p in found)
