"""The few elements of SVG that our pictures are made of, written so that no text can become markup."""

from __future__ import annotations

from decimal import Decimal
from html import escape

Attribute = str | int | float | Decimal | None


def element(name: str, *inside: str, **attributes: Attribute) -> str:
    """An element. ``class_`` is the class, ``stroke_width`` the attribute ``stroke-width``; ``None`` is left
    out. What is inside is markup already (``text`` makes it of words)."""
    said = "".join(
        f' {_name(key)}="{escape(_value(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}>{''.join(inside)}</{name}>" if inside else f"<{name}{said}/>"


def text(words: str) -> str:
    """Words as markup; what cannot be written in XML is left out."""
    return escape("".join(c for c in words if c.isprintable() or c == " "), quote=False)


def label(x: float, y: float, words: str, *, class_: str = "words", **attributes: Attribute) -> str:
    """Words at a place."""
    return element("text", text(words), x=x, y=y, class_=class_, **attributes)


def _name(key: str) -> str:
    return {"view_box": "viewBox"}.get(key, key.rstrip("_").replace("_", "-"))


def _value(value: Attribute) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
