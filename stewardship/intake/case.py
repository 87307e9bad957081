"""Our own JSON: a patient, an order, and what is known before it.

One schema serves the API, the terminal and the policy files' own tests (where it is written in TOML).
A medicine is named by ``rxcui``, ``ndc`` or exact ``name``. ``history`` is what the caller knows; when it
is absent, the chart says that the history is missing, and a policy that needs it cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

from marshmallow import ValidationError, fields, validate, validates_schema

from stewardship.domain import codes
from stewardship.domain.chart import (
    Chart,
    Condition,
    Encounter,
    Gap,
    Goal,
    Observation,
    Patient,
    Plan,
    Procedure,
)
from stewardship.domain.codes import CodeSets, Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.drugs import Catalogue, Drug, Medication
from stewardship.domain.orders import (
    Loss,
    Order,
    Pain,
    Phase,
    Replacement,
    Setting,
    Supply,
    SupplyKind,
)
from stewardship.domain.units import Units
from stewardship.intake.fields import (
    Choice,
    Day,
    ExactDecimal,
    Flag,
    Said,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
    read,
)

MOST_RECORDS = 2_000
_Fact = TypeVar("_Fact")
_SYSTEMS = (codes.RXNORM, codes.NDC, codes.ICD10CM, codes.SNOMED, codes.LOINC, codes.CPT, codes.STEWARDSHIP)
_PERIOD_UNITS = ("s", "min", "h", "d", "wk", "mo")


def _amount(**kwargs: Any) -> ExactDecimal:
    return ExactDecimal(least=0, most=100_000, above=True, **kwargs)


class CodingSchema(StrictSchema):
    """One code of one system."""

    system = Token(required=True, validate=validate.OneOf(_SYSTEMS))
    code = Token(required=True, longest=32)
    display = Text(longest=300, load_default="")


class MedicineSchema(StrictSchema):
    """A medicine by code or by exact name; ``text`` alone says what was written and recognises nothing."""

    rxcui = Token(longest=12)
    ndc = Token(longest=13)
    name = Text(longest=300, blank=False)
    text = Text(longest=300)

    @validates_schema
    def _named(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError([Said("Name the medicine: rxcui, ndc, name or text.", code="required")])


class DosageSchema(StrictSchema):
    """One dosage instruction: ``dose`` to ``dose_max`` ``unit``, ``frequency`` times per ``period``."""

    text = Text(longest=500, load_default="")
    sequence = WholeNumber(least=0, most=100)
    dose = _amount()
    dose_max = _amount()
    unit = Text(longest=32, load_default="")
    frequency = ExactDecimal(least=0, most=96, above=True)
    frequency_max = ExactDecimal(least=0, most=96, above=True)
    period = ExactDecimal(least=0, most=1_000, above=True)
    period_max = ExactDecimal(least=0, most=1_000, above=True)
    period_unit = Token(validate=validate.OneOf(_PERIOD_UNITS))
    as_needed = Flag(load_default=False)
    duration_days = ExactDecimal(least=0, most=3_660, above=True)
    max_per_day = _amount()


class ReplacementSchema(StrictSchema):
    """The order makes good an earlier prescription that was lost, stolen or destroyed."""

    loss = Choice(Loss, required=True)
    prescription = Token(load_default="")
    reported_on = Day()
    police_report = Token(load_default="")


class PainSchema(StrictSchema):
    """What the order is for."""

    phase = Choice(Phase, load_default=Phase.UNKNOWN)
    onset = Day()
    reasons = fields.List(fields.Nested(CodingSchema), validate=validate.Length(max=20), load_default=list)


class _SupplyFields(StrictSchema):
    medicine = fields.Nested(MedicineSchema, required=True)
    dosage = fields.List(fields.Nested(DosageSchema), validate=validate.Length(max=20), load_default=list)
    quantity = _amount()
    quantity_unit = Text(longest=32, load_default="")
    days_supply = ExactDecimal(least=0, most=3_660, above=True)
    refills = WholeNumber(least=0, most=99)
    setting = Choice(Setting, load_default=Setting.UNKNOWN)
    replaces = fields.Nested(ReplacementSchema)
    prescriber = Token(load_default="")


class OrderSchema(_SupplyFields):
    """The order that is about to be signed. ``written_on`` is today when it is not stated."""

    id = Token(load_default="draft")
    written_on = Day()
    start_on = Day()
    pain = fields.Nested(PainSchema)


class SupplySchema(_SupplyFields):
    """One prescription, dispensing or statement in the patient's history."""

    id = Token()
    kind = Choice(SupplyKind, load_default=SupplyKind.DISPENSING)
    start_on = Day()
    fill = WholeNumber(least=0, most=99)
    status = Token(
        validate=validate.OneOf(("active", "completed", "stopped", "unknown")), load_default="unknown"
    )
    ended_on = Day()
    prescription = Token(load_default="")
    pharmacy = Token(load_default="")
    reasons = fields.List(fields.Nested(CodingSchema), validate=validate.Length(max=20), load_default=list)
    treatment_type = Token(longest=2, load_default="")


class _FactFields(StrictSchema):
    id = Token()
    code = fields.Nested(CodingSchema, required=True)


class ConditionSchema(_FactFields):
    """A diagnosis; ``active`` is its clinical status when known."""

    active = Flag(allow_none=True, load_default=None)
    onset = Day()
    recorded_on = Day()
    abated_on = Day()
    category = Token(load_default="")


class ObservationSchema(_FactFields):
    """A measurement or a test result: a number with its unit, a code, or words."""

    on = Day()
    value = ExactDecimal(least=-1_000_000, most=1_000_000)
    unit = Text(longest=32, load_default="")
    coded = fields.List(fields.Nested(CodingSchema), load_default=list)
    said = Text(longest=300, load_default="")


class ProcedureSchema(_FactFields):
    """Something done (or only ordered, then ``done`` is false)."""

    on = Day()
    done = Flag(load_default=True)


class PlanSchema(_FactFields):
    """A care or treatment plan."""

    active = Flag(load_default=True)
    from_on = Day()
    until = Day()
    reviewed_on = Day()


class GoalSchema(_FactFields):
    """What the patient wants to be able to do."""

    said = Text(longest=500, load_default="")
    active = Flag(load_default=True)
    from_on = Day()
    due_on = Day()


class EncounterSchema(_FactFields):
    """A visit."""

    setting = Token(load_default="")
    from_on = Day()
    until = Day()


def _many(schema: type[StrictSchema]) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), validate=validate.Length(max=MOST_RECORDS), load_default=list)


class HistorySchema(StrictSchema):
    """What is known before the order. ``complete`` is false when the caller knows that more exists."""

    complete = Flag(load_default=True)
    supplies = _many(SupplySchema)
    conditions = _many(ConditionSchema)
    observations = _many(ObservationSchema)
    procedures = _many(ProcedureSchema)
    plans = _many(PlanSchema)
    goals = _many(GoalSchema)
    encounters = _many(EncounterSchema)


class PatientSchema(StrictSchema):
    """Who it is about, by the id of the record that the caller keeps; never a name."""

    id = Token(required=True)
    birth_date = Day()
    sex = Token(validate=validate.OneOf(("female", "male", "other", "unknown")), load_default="")


class CaseSchema(StrictSchema):
    """A patient, an order and a history."""

    patient = fields.Nested(PatientSchema, required=True)
    order = fields.Nested(OrderSchema, required=True)
    history = fields.Nested(HistorySchema)


@dataclass(frozen=True, slots=True)
class Case:
    """What a document says, in domain words."""

    order: Order
    chart: Chart


CASE = CaseSchema()


def read_case(
    document: object, *, catalogue: Catalogue, code_sets: CodeSets, units: Units, now: datetime
) -> Case:
    """Translate one document; raises ``InvalidInput`` that points at each fault."""
    return case_of(read(CASE, document), catalogue=catalogue, code_sets=code_sets, units=units, now=now)


def case_of(
    data: Mapping[str, Any], *, catalogue: Catalogue, code_sets: CodeSets, units: Units, now: datetime
) -> Case:
    """Make the domain's order and chart of what ``CaseSchema`` has loaded."""
    known = _Known(catalogue, code_sets, units)
    patient = Patient(data["patient"]["id"], data["patient"].get("birth_date"), data["patient"]["sex"])
    order = known.order(data["order"], patient.id, now.date())
    return Case(order, known.chart(data.get("history"), patient, now))


@dataclass(frozen=True, slots=True)
class _Known:
    """The translation, with what gives codes their meaning."""

    catalogue: Catalogue
    code_sets: CodeSets
    units: Units

    def order(self, data: Mapping[str, Any], patient_id: str, today: date) -> Order:
        medication, drug = self.medicine(data["medicine"])
        pain = data.get("pain") or {"phase": Phase.UNKNOWN, "reasons": []}
        reasons = _codings(pain["reasons"])
        return Order(
            id=data["id"],
            patient_id=patient_id,
            medication=medication,
            drug=drug,
            written_on=data.get("written_on") or today,
            start_on=data.get("start_on"),
            dosage=self.dosage(data["dosage"]),
            quantity=self.quantity(data),
            days_supply=data.get("days_supply"),
            refills=data.get("refills"),
            pain=Pain(pain["phase"], pain.get("onset"), reasons, self.code_sets.of_any(reasons)),
            setting=data["setting"],
            replaces=_replacement(data.get("replaces")),
            prescriber=data["prescriber"],
        )

    def medicine(self, data: Mapping[str, Any]) -> tuple[Medication, Drug | None]:
        text = data.get("name") or data.get("text") or ""
        codings = tuple(
            Coding(system, data[key], text)
            for key, system in (("rxcui", codes.RXNORM), ("ndc", codes.NDC))
            if key in data
        )
        medication = Medication(codings, text)
        if codings:
            return medication, self.catalogue.recognise(medication)
        drug = self.catalogue.by_name(data["name"]) if "name" in data else None
        return (Medication((drug.code,), text), drug) if drug else (medication, None)

    def supply(self, data: Mapping[str, Any], number: int) -> Supply:
        medication, drug = self.medicine(data["medicine"])
        reasons = _codings(data["reasons"])
        return Supply(
            id=data.get("id") or f"supply-{number}",
            kind=data["kind"],
            medication=medication,
            drug=drug,
            start_on=data.get("start_on"),
            dosage=self.dosage(data["dosage"]),
            quantity=self.quantity(data),
            days_supply=data.get("days_supply"),
            refills=data.get("refills"),
            fill=data.get("fill"),
            status=data["status"],
            ended_on=data.get("ended_on"),
            prescription=data["prescription"],
            prescriber=data["prescriber"],
            pharmacy=data["pharmacy"],
            replaces=_replacement(data.get("replaces")),
            setting=data["setting"],
            reasons=reasons,
            reason_sets=self.code_sets.of_any(reasons),
            treatment_type=data["treatment_type"],
        )

    def quantity(self, data: Mapping[str, Any]) -> Quantity | None:
        if "quantity" not in data:
            return None
        return Quantity(cast(Decimal, data["quantity"]), self.units.canonical("", data["quantity_unit"]))

    def dosage(self, rows: list[dict[str, Any]]) -> tuple[DosageInstruction, ...]:
        return tuple(self._instruction(row, self.units.canonical("", row["unit"])) for row in rows)

    def _instruction(self, row: Mapping[str, Any], unit: str) -> DosageInstruction:
        return DosageInstruction(
            sequence=row.get("sequence"),
            text=row["text"],
            dose_low=row.get("dose"),
            dose_high=row.get("dose_max", row.get("dose")),
            dose_unit=unit,
            frequency=row.get("frequency"),
            frequency_max=row.get("frequency_max"),
            period=row.get("period"),
            period_max=row.get("period_max"),
            period_unit=row.get("period_unit", ""),
            as_needed=row["as_needed"],
            duration_days=row.get("duration_days"),
            max_per_day=Quantity(row["max_per_day"], unit) if "max_per_day" in row else None,
        )

    def chart(self, history: Mapping[str, Any] | None, patient: Patient, now: datetime) -> Chart:
        if history is None:
            return Chart(patient, now, gaps=(Gap("history-missing", "history"),))
        return Chart(
            patient,
            now,
            supplies=tuple(self.supply(s, n) for n, s in enumerate(history["supplies"], 1)),
            conditions=self.facts(Condition, "condition", history["conditions"]),
            observations=self.facts(Observation, "observation", history["observations"]),
            procedures=self.facts(Procedure, "procedure", history["procedures"]),
            plans=self.facts(Plan, "plan", history["plans"]),
            goals=self.facts(Goal, "goal", history["goals"]),
            encounters=self.facts(Encounter, "encounter", history["encounters"]),
            gaps=() if history["complete"] else (Gap("history-incomplete", "history"),),
        )

    def facts(self, made: Callable[..., _Fact], name: str, rows: list[dict[str, Any]]) -> tuple[_Fact, ...]:
        """Records that share the shape: an id, a code with the sets it is in, and fields of their own."""
        return tuple(self._fact(made, f"{name}-{n}", dict(row)) for n, row in enumerate(rows, 1))

    def _fact(self, made: Callable[..., _Fact], number: str, row: dict[str, Any]) -> _Fact:
        codings = _codings([row.pop("code")])
        if "coded" in row:
            row["coded"] = _codings(row["coded"])
        return made(row.pop("id", number), codings=codings, sets=self.code_sets.of_any(codings), **row)


def _codings(rows: list[dict[str, Any]]) -> tuple[Coding, ...]:
    return tuple(Coding(r["system"], r["code"], r["display"]) for r in rows)


def _replacement(data: Mapping[str, Any] | None) -> Replacement | None:
    if data is None:
        return None
    return Replacement(data["loss"], data["prescription"], data.get("reported_on"), data["police_report"])
