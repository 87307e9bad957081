"""The texts of a report, in whatever format it was given out: the checkpoint that it bears is one of them."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from html import unescape

#: A checkpoint is a few hundred bytes; more of a part of a file than this is not looked at.
_LONGEST_PART = 1 << 20
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_CHECKPOINT = b"stewardship/audit/"
_SHEET = re.compile(r"xl/worksheets/sheet\d+\.xml", re.ASCII)
_ROW = re.compile(r'<row r="(\d+)"[^>]*>(.*?)</row>', re.DOTALL | re.ASCII)
_TEXT = re.compile(r"<t(?: [^>]*)?>([^<]*)</t>", re.DOTALL)


def words(content: bytes) -> str:
    """All texts of a file: a text as it is, a JSON report's strings, a PDF's attachments, a spreadsheet's
    rows. A file of another kind, or a damaged one, holds none."""
    if content.startswith(b"%PDF-"):
        return "\n".join(_attached(content))
    if content.startswith(b"PK\x03\x04"):
        return "\n".join(_rows(content))
    text = content.decode("utf-8", errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        return text
    found, waiting = [], [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict | list):
            waiting += part.values() if isinstance(part, dict) else part
    return "\n".join(found)


def _attached(content: bytes) -> Iterator[str]:
    for stream in _STREAM.finditer(content):
        try:
            part = zlib.decompressobj().decompress(stream[1], _LONGEST_PART)
        except zlib.error:
            part = stream[1][:_LONGEST_PART]
        if part.startswith(_CHECKPOINT):
            yield part.decode("utf-8", errors="replace")


def _rows(content: bytes) -> Iterator[str]:
    """The last text of each row, one a line; a row that is left out is an empty line."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            sheets = [name for name in book.namelist() if _SHEET.fullmatch(name)]
            parts = [book.open(name).read(_LONGEST_PART) for name in sorted(sheets)]
    except (zipfile.BadZipFile, zlib.error):
        return
    for part in parts:
        at = 0
        for row in _ROW.finditer(part.decode("utf-8", errors="replace")):
            yield from [""] * min(int(row[1]) - at - 1, 1)
            at = int(row[1])
            yield unescape((_TEXT.findall(row[2]) or [""])[-1])
