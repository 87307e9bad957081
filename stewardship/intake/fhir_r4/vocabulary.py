"""What the reference file says about FHIR: timing codes, and how a replaced prescription is told."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Any

#: (system, code) -> frequency, period, unit of the period.
Rhythms = Mapping[tuple[str, str], tuple[Decimal, Decimal, str]]


@dataclass(frozen=True, slots=True)
class ReplacementCodes:
    """How a document says that an order replaces a lost prescription: the extension that we define,
    and codes of other systems with the loss that each stands for."""

    extension: str
    codes: Mapping[tuple[str, str], str]


@lru_cache(maxsize=1)
def timing_codes() -> Rhythms:
    """The rhythms that HL7 defines for a timing given by code alone."""
    said = _reference()["timing"]
    return {
        (said["system"], code): (Decimal(str(row["frequency"])), Decimal(str(row["period"])), row["unit"])
        for code, row in said["codes"].items()
    }


@lru_cache(maxsize=1)
def replacement_codes() -> ReplacementCodes:
    """How a replacement of a lost, stolen or destroyed prescription is recognised."""
    said = _reference()["replacement"]
    return ReplacementCodes(
        extension=said["extension"],
        codes={(row["system"], row["code"]): row["loss"] for row in said["code"]},
    )


def _reference() -> dict[str, Any]:
    text = resources.files("stewardship").joinpath("reference/fhir_r4.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)
