"""Parts of a document that are written again and again: what was read of them, kept by their exact text.

A patient's fills name the same product with the same directions. A number is a number in the text and a text
a text, so that nothing that reads differently is taken for the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

By = TypeVar("By")
Read = TypeVar("Read")

_TEXT = msgspec.json.Encoder(decimal_format="number")
_MOST_KEPT, _LONGEST_KEPT = 2_000, 2_000
#: Of so many libraries what was read is kept; of one that was replaced nothing stays for good.
_MOST_LIBRARIES = 8


class ByText(Generic[By, Read]):
    """What was read of parts of one kind, apart for each set of reference data ``by`` which it was read.
    Bounded in number and length."""

    def __init__(self) -> None:
        # The reference data are known by their identity, and stay as long as what was read by them.
        self._kept: dict[int, tuple[By, dict[bytes, Read]]] = {}

    def of(self, part: Any, by: By, read: Callable[[Any], Read]) -> Read:
        """What ``read`` makes of the part."""
        text = _TEXT.encode(part)
        known = self._kept.get(id(by)) or self._another(by)
        made = known[1].get(text)
        if made is None:
            made = read(part)
            if len(text) <= _LONGEST_KEPT:
                if len(known[1]) >= _MOST_KEPT:
                    known[1].clear()
                known[1][text] = made
        return made

    def _another(self, by: By) -> tuple[By, dict[bytes, Read]]:
        if len(self._kept) >= _MOST_LIBRARIES:
            self._kept.clear()
        return self._kept.setdefault(id(by), (by, {}))
