"""Where the declarations lie: beside the package in a checkout, inside it when installed as a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
REFERENCE = PACKAGE / "reference"


def bundled(name: str) -> Path:
    """A top-level folder of the project: the checkout's own, else the copy that the wheel carries."""
    beside = PACKAGE.parent / name
    return beside if beside.is_dir() else PACKAGE / "_bundled" / name


POLICIES = bundled("policies")
