"""Reports count what services write, on both databases."""

from __future__ import annotations

from tests.services.conftest import clinic

__all__ = ["clinic"]
