"""What a password must be: long, and not what is guessed first.

A list of common passwords is long and soon old. Nearly all of its entries are common words, runs of keys,
repeats and years put beside each other; so these are taken out, and what is left has to be long enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stewardship.domain.identity import PasswordTerms

#: The shortest run of neighbouring keys or letters that counts as one.
_RUN = 4
#: Words of the account shorter than this stand in too many passwords by chance.
_SHORTEST_WORD = 4
_YEAR = re.compile(r"(19|20)[0-9]{2}")
#: One sign, or a few signs, again and again.
_REPEAT = re.compile(r"(.{1,4}?)\1{2,}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a password is refused: a code for programs, words for the one who chose it."""

    code: str
    message: str


def why_not(password: str, terms: PasswordTerms, *, about: Iterable[str] = ()) -> Reason | None:
    """Why the password cannot be taken; ``None`` when it can. ``about`` are words of the account."""
    if len(password) < terms.shortest:
        return Reason(
            "too-short", f"Use at least {terms.shortest} characters; a few unrelated words are good."
        )
    if len(password) > terms.longest:
        return Reason("too-long", f"Use at most {terms.longest} characters.")
    if not password.isprintable():
        return Reason("hidden-characters", "Use characters that can be seen, and spaces.")
    if len(what_is_left(password, terms, about=about)) < terms.least_left:
        return Reason(
            "easily-guessed",
            "This is easily guessed: it is made of common words, runs of keys, repeats, years or your own "
            "name. Add some words that have nothing to do with each other.",
        )
    return None


def what_is_left(password: str, terms: PasswordTerms, *, about: Iterable[str] = ()) -> str:
    """The password without everything that is tried first."""
    folded = password.casefold()
    plain = folded.translate({ord(sign): letter for sign, letter in terms.replacements.items()})
    words = sorted({*terms.words, *_words_of(about)}, key=len, reverse=True)
    # A sign counts as taken out if it is so as written or as meant: replacements keep the length.
    if len(plain) != len(folded):
        plain = folded
    taken = [False] * len(folded)
    for text in (folded, plain):
        for start, end in _guessed(text, words, terms.rows):
            taken[start:end] = [True] * (end - start)
    left = "".join(sign for sign, gone in zip(folded, taken, strict=True) if not gone)
    return "".join(dict.fromkeys(sign for sign in left if sign.isalnum() or not sign.isspace()))


def _guessed(text: str, words: list[str], rows: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """From where to where something stands that is guessed."""
    for word in words:
        for form in {word, word[::-1]}:
            yield from ((found.start(), found.end()) for found in re.finditer(re.escape(form), text))
    for pattern in (_YEAR, _REPEAT):
        yield from ((found.start(), found.end()) for found in pattern.finditer(text))
    yield from _runs(text, rows)


def _runs(text: str, rows: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    ways = [way for row in rows for way in (row, row[::-1])]
    for start in range(len(text) - _RUN + 1):
        if any(text[start : start + _RUN] in way for way in ways):
            yield start, start + _RUN


def _words_of(about: Iterable[str]) -> Iterator[str]:
    for text in about:
        for word in re.split(r"[^\w]+", text.casefold()):
            if len(word) >= _SHORTEST_WORD:
                yield word
