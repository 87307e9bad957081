"""Stays in hospital of a generated population, with what was given when they ended; nobody in it exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stewardship.measures.stays import How, Medications, Stays
from stewardship.population.columns import NONE
from tests.population.generator import DAYS, DRUGS, FIRST, Population

_UNKNOWN_DAYS = 60


@dataclass(frozen=True)
class Hospital:
    """Medications of everybody, dispensings among them, and the stays."""

    medications: Medications
    stays: Stays


def hospital(made: Population, *, seed: int = 6) -> Hospital:
    """A stay for about every other patient, and two prescriptions or so at the end of each."""
    draw, c = np.random.default_rng(seed), made.columns
    patients = int(c.patient.max(initial=-1)) + 1
    patient = np.sort(draw.integers(0, patients, patients // 2 + 1))
    count = len(patient)
    begun = FIRST.toordinal() + draw.integers(0, DAYS - 1, count)
    ended = begun + draw.choice([0, 1, 2, 3, 4, 5, 7, 10, 21, 60, 120, 121, 150], count)
    each = draw.choice([0, 1, 1, 2, 2, 3], count)
    of = np.repeat(np.arange(count), each)
    day = ended[of] - draw.choice([0, 0, 0, 0, 1, 2], len(of))
    setting = draw.choice([How.DISCHARGE] * 6 + [0, How.WARD], len(of)).astype(np.int64)
    length = draw.choice([3, 5, 7, 30], len(of))
    first = c.day.astype(np.int64)
    lasting = np.where(c.days > 0, c.days, _UNKNOWN_DAYS)
    parts = {
        "patient": (c.patient, patient[of]),
        "day": (first, day),
        "until": (first + lasting - 1, day + length - 1),
        "written": (c.written, np.full(len(of), NONE)),
        "product": (c.product, draw.integers(0, len(DRUGS), len(of))),
        "how": (np.zeros(len(c)), setting | How.PRESCRIPTION),
        "treatment": (c.treatment, np.zeros(len(of))),
    }
    whole = {name: np.concatenate(both) for name, both in parts.items()}
    order = np.argsort(whole["patient"], kind="stable")
    small = {"how", "treatment"}
    kept = {n: v[order].astype(np.int8 if n in small else np.int32) for n, v in whole.items()}
    stays = Stays(
        patient.astype(np.int32),
        begun.astype(np.int32),
        ended.astype(np.int32),
        np.where(draw.random(count) < 0.1, 0, 1).astype(np.int8),
        draw.random(count) < 0.05,
    )
    return Hospital(Medications(**kept), stays)
