"""Where the declarations lie: beside the package in a checkout, inside it when installed as a wheel."""

from __future__ import annotations

from pathlib import Path

from stewardship import bundled

REFERENCE = Path(__file__).resolve().parent.parent / "reference"
POLICIES = bundled("policies")
