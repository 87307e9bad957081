"""Which names are like what somebody typed. Suggestions are for people; nothing is recognised by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import log

# What a word of a name is: letters, or a number. "10mg" is two words, "0.5" is one.
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
# Two words of letters this alike (of 100) may be one word and a slip of the keyboard.
_ALIKE = 75
# The beginning of a word counts for nearly as much as the word.
_BEGUN = 0.9
# Names that answer less than this share of what was asked are no suggestion.
_FLOOR = 0.5


def likeliest(names: Sequence[str]) -> Callable[[str, int], Sequence[int]]:
    """A search over names: given a text and a number, the positions of that many names, the likeliest first.

    Words count whatever their order, rare ones (oxycodone) for more than common ones (tablet); of names
    that answer equally well the shorter comes first, so that ``oxycodone 5`` finds oxycodone alone before
    its combinations.
    """
    holders: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        for word in set(_WORD.findall(name.casefold())):
            holders.setdefault(word, []).append(position)

    def search(text: str, limit: int) -> Sequence[int]:
        scores: dict[int, float] = {}
        asked = 0.0
        for word in dict.fromkeys(_WORD.findall(text.casefold())):
            best: dict[int, float] = {}
            for known, likeness in _alike(word, holders):
                for position in holders[known]:
                    best[position] = max(best.get(position, 0.0), likeness)
            # A word that no name has ("patch", which RxNorm calls a transdermal system) weighs little.
            weight = log(1 + len(names) / len(best)) if best else 1.0
            asked += weight
            for position, likeness in best.items():
                scores[position] = scores.get(position, 0.0) + weight * likeness
        enough = _FLOOR * asked
        ranked = sorted(
            (-score, len(names[p]), names[p], p) for p, score in scores.items() if score >= enough
        )
        return [position for *_, position in ranked[:limit]]

    return search


def _alike(word: str, known: dict[str, list[int]]) -> list[tuple[str, float]]:
    """The known words that may be meant, and how much like it each is; numbers are only like themselves."""
    from rapidfuzz import fuzz, process

    found = [(word, 1.0)] if word in known else []
    if word[0].isdigit():
        return found
    found += [(other, _BEGUN) for other in known if other != word and other.startswith(word)]
    close = process.extract(word, list(known), scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=10)
    return found + [(other, score / 100) for other, score, _ in close if other != word]
