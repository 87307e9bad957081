"""What is wrong with a file, in words for the person who can put it right."""

from __future__ import annotations

from stewardship.domain.dispensings import RowFault

#: Every code that the reader gives, after "line 12, DSP10:".
WORDS = {
    "required": "is missing",
    "too-long": "has more characters than the element may have",
    "character": "holds a control character",
    "not-a-number": "is not made of digits alone",
    "not-a-decimal": "is not a number with a decimal point",
    "not-a-date": "is not a date as CCYYMMDD",
    "not-a-time": "is not a time as HHMMSS or HHMM",
    "code-unknown": "is not in the list of codes for the element",
    "too-many-elements": "has more elements than this version of the format",
    "unreadable": "cannot be read",
    "order": "does not stand where it may",
    "count": "is not the number of segments that were read",
    "control-number": "is not the control number of the header",
    "truncated": "breaks off before it is whole",
    "segment-unknown": "is no segment of this version; a terminator inside a text makes one, too",
    "segment-too-long": "is longer than any segment: a terminator is missing",
    "version-unknown": "is a version that is not read",
    "header-unreadable": "is no header, or one that does not say how segments end",
    "not-a-report": "says that the transmission reports no dispensings",
    "after-trailer": "comes after the end of the transmission",
}


def in_words(fault: RowFault) -> str:
    """The place and what is wrong there; never what was written."""
    element = "a segment" if fault.element == "?" else fault.element
    return f"line {fault.line}, {element}: {WORDS[fault.code]}"
