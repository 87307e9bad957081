"""Text for cards: short, and harmless whatever it quotes.

A card is shown by somebody else's program, as plain text, as GitHub-flavoured Markdown or, carelessly, as
HTML. The words may quote a medicine's display name, which anybody may have written. So nothing in them is
a tag, a link or a line of its own, in any of the three.
"""

from __future__ import annotations

import re
import unicodedata

#: Characters of a card's summary; the specification asks for fewer than 140.
LONGEST_SUMMARY = 139

_BEGINS = re.compile(r"^(\d*)([#+=.)-])")
_WWW = re.compile(r"\b(www)\.", re.IGNORECASE)
_MARKS = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {c: "\\" + c for c in "\\`[]|@*_~"})
_NO_TAGS = str.maketrans({"<": "‹", ">": "›"})


def plain(text: str) -> str:
    """One line without control and direction characters, and nothing that reads as a tag."""
    return _one_line(text).translate(_NO_TAGS)


def summary(text: str) -> str:
    """A card's summary: plain, and cut at a word when it is too long."""
    return clip(plain(text), LONGEST_SUMMARY)


def clip(text: str, longest: int) -> str:
    """The text, cut at a word and marked as cut when it is longer."""
    if len(text) <= longest:
        return text
    kept = text[:longest]
    return (kept.rsplit(" ", 1)[0] if " " in kept else kept[:-1]).rstrip(" ,;:") + "…"


def markdown(text: str) -> str:
    """One paragraph that Markdown shows as it is written: no tags, no links, no images, no code."""
    escaped = _one_line(text).translate(_MARKS)
    # Addresses become links without any mark around them.
    escaped = _WWW.sub(r"\1\\.", escaped.replace("://", "\\://"))
    # What would begin a heading, a list or a quotation.
    return _BEGINS.sub(r"\1\\\2", escaped)


def paragraphs(*texts: str) -> str:
    """Paragraphs of Markdown, the empty ones left out; each is already escaped."""
    return "\n\n".join(text for text in texts if text)


def _one_line(text: str) -> str:
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    seen = (" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
    return " ".join("".join(seen).split())
