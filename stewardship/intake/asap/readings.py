"""A version of the format made ready for reading: its decoders, and what is made once and met again."""

from __future__ import annotations

from stewardship.domain.dispensings import Pharmacy, Prescriber
from stewardship.intake.asap import segments
from stewardship.intake.asap.decoding import decoder
from stewardship.intake.asap.definitions import Version
from stewardship.intake.asap.lexer import SEPARATOR

_REMEMBERED = 20_000


class Reading:
    """A version made ready: the decoders of its segments, and the makers of rows. What comes again and
    again (a prescriber, a pharmacy) is made once."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.words = version.vocabulary

        has = version.segments
        self.dsp = decoder(has["DSP"], segments.DSP)
        self.rx = decoder(has["RX"], segments.DSP) if "RX" in has else None
        self.pat = decoder(has["PAT"], segments.PAT)
        self.pre = decoder(has["PRE"], segments.PRE)
        self.cdi = decoder(has["CDI"], segments.CDI)
        self.air = {id_: decoder(has[id_], segments.AIR) for id_ in ("AIR", "CSR") if id_ in has}
        self.rph = decoder(has["RPH"], segments.RPH) if "RPH" in has else None
        self.tp = decoder(has["TP"], segments.COUNT)
        self.tt = decoder(has["TT"], segments.TT)
        self.plain = {id_: decoder(has[id_]) for id_ in ("TH", "IS", "PHA", "IR", "PLN") if id_ in has}
        lists = {e.name: e.code_list for e in has["DSP"].elements}
        self.rows = segments.RowBuilder(
            self.words,
            reporting_list=lists["reporting"],
            partial_list=lists["partial"],
            compound_qualifier=version.compound_qualifier,
            compound_prefix=version.compound_prefix,
        )
        self.prescribers: dict[str, Prescriber] = {}
        self.pharmacies: dict[str, Pharmacy] = {}
        filled_on = has["DSP"].position("filled_on")
        self.filled_on_at = filled_on or 0
        last, first = has["PAT"].position("last") or 0, has["PAT"].position("first") or 0
        self.name_at = (last, first)

    def prescriber(self, text: str) -> Prescriber | None:
        """The prescriber of a PRE segment; ``None`` when something is wrong with it."""
        known = self.prescribers.get(text)
        if known is None:
            values = self.pre.values(text)
            if values is None:
                return None
            if len(self.prescribers) > _REMEMBERED:
                self.prescribers.clear()
            known = self.prescribers[text] = segments.prescriber_of(values)
        return known

    def pharmacy(self, text: str) -> Pharmacy:
        """The pharmacy of a PHA segment, as far as it can be read."""
        known = self.pharmacies.get(text)
        if known is None:
            if len(self.pharmacies) > _REMEMBERED:
                self.pharmacies.clear()
            known = self.pharmacies[text] = segments.pharmacy_of(self.plain["PHA"].readable(text))
        return known

    def is_zero(self, text: str) -> bool:
        """Whether a PAT segment names no patient but the report of none."""
        fields = [field.strip(" ").upper() for field in text.split(SEPARATOR)]
        return len(fields) > max(self.name_at) and tuple(fields[n] for n in self.name_at) == self.words.zero
