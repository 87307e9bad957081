"""Opioid stewardship: stands between an opioid order and a patient, and says what it found and why.

Start reading in ``stewardship/ARCHITECTURE.md``; the words are explained in ``stewardship.domain``.
"""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"


def bundled(name: str) -> Path:
    """Where a folder of the project's top level is: ``policies``, ``migrations``.

    In a clone it stands beside the package; in an installed wheel the build has put it inside.
    """
    here = Path(__file__).resolve().parent
    inside = here / "_bundled" / name
    return inside if inside.exists() else here.parent / name
