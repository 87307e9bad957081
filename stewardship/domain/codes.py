"""Codes as they were written, and the named sets that give them meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Short names for the code systems the service reads; adapters translate their URLs to these.
RXNORM = "rxnorm"
NDC = "ndc"
ICD10CM = "icd-10-cm"
SNOMED = "snomed-ct"
LOINC = "loinc"
CPT = "cpt"
#: Our own codes, for what the others have none: see ``reference/code_sets`` for each.
STEWARDSHIP = "stewardship"


@dataclass(frozen=True, slots=True)
class Coding:
    """One code of one system, e.g. ``Coding("rxnorm", "1049621", "oxycodone 5 MG Oral Tablet")``.

    ``system`` is one of the short names above, or the address as written when it is none of them.
    """

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class CodeSets:
    """The named code sets of ``reference/code_sets``: which codes mean, say, active cancer.

    ``exact`` maps (system, code) to the names of the sets it is in; ``prefixes`` does the same for
    sets that are given as prefixes (ICD-10-CM chapters such as ``D57`` without ``D57.3``), longest
    prefix first to be found, so that an exclusion such as ``D57.3`` wins over ``D57``.
    """

    exact: Mapping[tuple[str, str], frozenset[str]]
    prefixes: Mapping[tuple[str, str], frozenset[str]]
    longest_prefix: int = 0

    def sets_of(self, coding: Coding) -> frozenset[str]:
        """The names of all sets that hold this code; ICD-10-CM is matched without its dot."""
        code = coding.code.strip()
        if coding.system == ICD10CM:
            code = code.replace(".", "").upper()
        found = self.exact.get((coding.system, code), frozenset())
        for length in range(min(len(code), self.longest_prefix), 0, -1):
            under = self.prefixes.get((coding.system, code[:length]))
            if under is not None:
                return found | under
        return found

    def of_any(self, codings: Iterable[Coding]) -> frozenset[str]:
        """The union of ``sets_of`` over the alternative codings of one concept."""
        names: frozenset[str] = frozenset()
        for coding in codings:
            names |= self.sets_of(coding)
        return names
