"""Which non-opioid options fit this condition and this patient, in what order, and why not the others.

The answer is a ladder from the least to the most invasive, several modalities side by side. Nothing drops
out of it in silence: what is left out has its reasons, what cannot be judged says which fact is missing,
what comes later says after what, and a rung with nothing on it says so. Nobody has to fail one rung to
reach the next, and who is exempt from opioid policies is offered all of it and pressed to none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stewardship.domain.codes import Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Phase
from stewardship.domain.suitability import (
    PatientFacts,
    Reason,
    Response,
    Terms,
    Tried,
    Weighed,
    weigh,
)
from stewardship.domain.treatments import (
    INTERVENTIONAL,
    AddedIngredient,
    Against,
    Matched,
    PainCondition,
    Source,
    Treatment,
    match,
    phase_decides,
)
from stewardship.domain.wording import in_words

#: What a part of a treatment is called when only the rest of it is offered.
FULL_DOSE = "full dose"


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Everything declared about alternatives (``reference/``): rows, treatments by id in the order of the
    file, names of the rungs, the rules of suitability, and ingredients that the catalogue lacks."""

    conditions: tuple[PainCondition, ...]
    treatments: Mapping[str, Treatment]
    rungs: Mapping[int, str]
    terms: Terms
    sources: Mapping[str, Source]
    added_ingredients: tuple[AddedIngredient, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """A treatment that fits. ``why`` says for what and in which line; ``ceiling`` the most a day for this
    patient; ``cautions`` what speaks for care; ``check_first`` what to look at or ask before; ``prior``
    what it did before; ``in_use`` the medicines by which the patient has it already. ``verified`` is
    false when any part of it was not confirmed in a source."""

    treatment: Treatment
    line: str
    why: str
    ceiling: str
    ceiling_mg: int | None
    cautions: tuple[Reason, ...]
    check_first: tuple[str, ...]
    prior: str
    in_use: tuple[str, ...]
    sources: tuple[Source, ...]
    verified: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A treatment, or its full dose alone, that is not offered, and every reason why."""

    treatment: Treatment
    reasons: tuple[Reason, ...]
    part: str = ""

    @property
    def id(self) -> str:
        """The treatment's id; that of its full dose is another, for the rest of it may be offered."""
        return f"{self.treatment.id}-{self.part.replace(' ', '-')}" if self.part else self.treatment.id


@dataclass(frozen=True, slots=True)
class Undecided:
    """A treatment that cannot be judged until the facts are known."""

    treatment: Treatment
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """A treatment that may come once another had a meaningful response."""

    treatment: Treatment
    after: tuple[Treatment, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung and what it holds. ``skipped`` says why it holds nothing to offer."""

    number: int
    title: str
    options: tuple[Option, ...]
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The whole answer. ``asks`` are the missing facts in words, by name. ``together`` is one untried
    option of each modality among the rungs without needles, of those that nothing speaks against: a plan
    is more than one of them.
    ``opioid_only`` is ``None`` when it cannot be told. ``pressed`` is false for who is exempt."""

    matched: tuple[Matched, ...]
    unmatched: tuple[Coding, ...]
    ladder: tuple[Rung, ...]
    left_out: tuple[LeftOut, ...]
    undecided: tuple[Undecided, ...]
    later: tuple[Later, ...]
    asks: Mapping[str, str]
    together: tuple[Option, ...]
    opioid_only: bool | None
    exempt: str
    notes: tuple[str, ...]
    urgent: tuple[str, ...]

    @property
    def offered(self) -> tuple[Option, ...]:
        """The options, from the least to the most invasive."""
        return tuple(option for rung in self.ladder for option in rung.options)

    @property
    def pressed(self) -> bool:
        """Whether the alternatives are put forward as ones that ought to be tried."""
        return not self.exempt


def recommend(declared: Alternatives, codings: Iterable[Coding], facts: PatientFacts) -> Recommendation:
    """What to offer for the conditions that the codes stand for, to this patient."""
    codes = tuple(codings)
    matched = match(declared.conditions, codes, facts.phase)
    asks = _Asks(declared.terms)
    if facts.phase is Phase.UNKNOWN and phase_decides(matched):
        asks.add("phase")
    known = {name for t in declared.treatments.values() for name in (t.id, t.family, *t.ingredients)}
    for tried in facts.tried:
        if tried.what not in known:
            asks.add("tried", tried.what)
    for name in (*facts.unknown_medicines, *facts.unknown_allergies):
        asks.add("unknown-medicines", name)
    options: list[Option] = []
    left_out: list[LeftOut] = []
    undecided: list[Undecided] = []
    later: list[Later] = []
    considered = _named(matched)
    for name, named in considered.items():
        treatment = declared.treatments[name]
        weighed = weigh(treatment, facts, declared.terms)
        against, spoken = _against(named)
        prior = _prior(treatment, facts.tried, declared.treatments)
        avoid = (*against, *weighed.avoid, *prior.avoid)
        after = _after(treatment, considered, declared.treatments)
        if avoid:
            told = (*avoid, *weighed.ceilings, *weighed.cautions)
            left_out.append(LeftOut(treatment, told))
        elif weighed.unsettled:
            asks.lacking(weighed)
            undecided.append(Undecided(treatment, asks.needs(weighed, facts)))
        elif after and not any(_response(a, facts.tried) is Response.MEANINGFUL for a in after):
            failed = _all_failed(after, facts.tried)
            if failed:
                left_out.append(LeftOut(treatment, (failed,)))
            else:
                later.append(Later(treatment, after))
        else:
            asks.lacking(weighed)
            options.append(
                _option(treatment, named, weighed, (*spoken, *prior.cautions), prior.said, facts, asks)
            )
            if weighed.ceilings:
                left_out.append(LeftOut(treatment, weighed.ceilings, FULL_DOSE))
    order = {option.treatment.id: place for place, option in enumerate(options)}
    options.sort(key=lambda o: (o.treatment.rung, not _helped(o), order[o.treatment.id]))
    ladder = _ladder(declared, matched, options, left_out, undecided, later)
    return Recommendation(
        matched=matched,
        unmatched=tuple(c for c in codes if not any(m.coding == c for m in match(declared.conditions, (c,)))),
        ladder=ladder,
        left_out=tuple(left_out),
        undecided=tuple(undecided),
        later=tuple(later),
        asks=asks.said,
        together=_together(options, facts.tried),
        opioid_only=opioid_only(declared, facts),
        exempt=facts.exempt or next((m.condition.title for m in matched if m.condition.exempt), ""),
        notes=_notes(matched),
        urgent=tuple(dict.fromkeys(m.condition.urgent for m in matched if m.condition.urgent)),
    )


def _notes(matched: tuple[Matched, ...]) -> tuple[str, ...]:
    """What the rows say in words, each under its condition when there are several."""
    rows = [m.condition for m in matched]
    return tuple(
        note if len(rows) == 1 else f"{row.title}: {note}"
        for row in rows
        for note in (row.notes, row.opioid)
        if note
    )


def opioid_only(declared: Alternatives, facts: PatientFacts) -> bool | None:
    """Whether the plan on record is an opioid and nothing else; ``None`` when the record does not tell."""
    if facts.medicines is None:
        return None
    now = [m for m in facts.medicines if m.days_ago == 0]
    if not any(DrugClass.OPIOID_ANALGESIC in m.classes or DrugClass.OPIOID in m.classes for m in now):
        return None if facts.unknown_medicines else False
    if any(t.response in {Response.MEANINGFUL, Response.PARTIAL} for t in facts.tried):
        return False
    beside = {i for t in declared.treatments.values() for i in t.ingredients}
    return not any(m.ingredients & beside for m in now if DrugClass.OPIOID not in m.classes)


# --- which treatments, and what the conditions say of them ---------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """How one condition names a treatment: the line it stands in, or what speaks against it."""

    condition: PainCondition
    line: str
    against: Against | None = None


def _named(matched: Iterable[Matched]) -> dict[str, list[_Named]]:
    """Every treatment that the conditions name, first lines first."""
    found: dict[str, list[_Named]] = {}
    rows = [m.condition for m in matched]
    for line in ("first line", "further option", "interventional"):
        for row in rows:
            named = {"first line": row.first_line, "further option": row.further}.get(
                line, row.interventional
            )
            for treatment in named:
                if not any(n.condition is row for n in found.get(treatment, ())):
                    found.setdefault(treatment, []).append(_Named(row, line))
    for row in rows:
        for against in row.against:
            found.setdefault(against.treatment, []).append(_Named(row, "", against))
    return found


def _against(named: Iterable[_Named]) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """What the conditions say against it: reasons to leave it out, or, where another of the patient's
    conditions asks for it, reasons for care."""
    rows = tuple(named)
    reasons = tuple(
        Reason(f"condition:{n.condition.id}", n.against.reason, "", n.against.sources, n.against.verified)
        for n in rows
        if n.against is not None
    )
    wanted = any(n.line for n in rows)
    told = tuple({r.text: r for r in reasons}.values())
    return ((), told) if wanted else (told, ())


# --- what happened before ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prior:
    avoid: tuple[Reason, ...] = ()
    cautions: tuple[Reason, ...] = ()
    said: str = ""


_SAID = {
    Response.MEANINGFUL: "it helped",
    Response.PARTIAL: "it helped in part: see whether it can be made more of, or added to",
    Response.NONE: "it did not help",
    Response.HARM: "it did harm",
    Response.DECLINED: "the patient did not want it; ask again when something has changed",
}


def _prior(treatment: Treatment, tried: Iterable[Tried], treatments: Mapping[str, Treatment]) -> _Prior:
    """Harm and failure rule out; failure of one medicine of several, or harm by a relative, asks for care."""
    avoid: list[Reason] = []
    cautions: list[Reason] = []
    said: list[str] = []
    for one in tried:
        own = one.what == treatment.id or one.what in treatment.ingredients
        whole = one.what == treatment.id or len(treatment.ingredients) == 1
        words = f"tried {_when(one)}: {_SAID[one.response]}" + (f" ({one.note})" if one.note else "")
        reason = Reason(f"prior:{one.response}", f"{one.what} was {words}")
        if own and (one.response is Response.HARM or (whole and _closes(one.response))):
            avoid.append(reason)
        elif own and _closes(one.response):
            cautions.append(Reason(reason.rule, f"{reason.text}; another of the group may"))
        elif own:
            said.append(words)
        elif (
            one.response is Response.HARM
            and treatment.family
            and _family(one, treatments) == treatment.family
        ):
            cautions.append(Reason(reason.rule, f"its relative {reason.text}"))
    return _Prior(tuple(avoid), tuple(cautions), "; ".join(said))


def _closes(response: Response) -> bool:
    return response in {Response.NONE, Response.DECLINED}


def _when(tried: Tried) -> str:
    return "before" if tried.on is None else f"in {tried.on:%b %Y}"


def _family(tried: Tried, treatments: Mapping[str, Treatment]) -> str:
    for treatment in treatments.values():
        if tried.what in {treatment.id, treatment.family, *treatment.ingredients}:
            return treatment.family
    return ""


def _response(treatment: Treatment, tried: Iterable[Tried]) -> Response | None:
    """The last response that is on record for a treatment."""
    own = [t for t in tried if t.what == treatment.id]
    return own[-1].response if own else None


def _after(
    treatment: Treatment, considered: Iterable[str], treatments: Mapping[str, Treatment]
) -> tuple[Treatment, ...]:
    """What must have helped first: of several, those that this condition calls for."""
    named = set(considered)
    fitting = [r for r in treatment.requires if r in named] or treatment.requires
    return tuple(treatments[r] for r in fitting)


def _all_failed(after: tuple[Treatment, ...], tried: Iterable[Tried]) -> Reason | None:
    """A test that did not relieve says that the source of the pain is elsewhere."""
    responses = [_response(a, tried) for a in after]
    if any(r is None or r is Response.PARTIAL for r in responses):
        return None
    names = ", ".join(a.title.lower() for a in after)
    return Reason(
        "prior:test", f"{names} brought no meaningful relief: look for another source of the pain first"
    )


# --- one option -----------------------------------------------------------------------------------------


def _option(
    treatment: Treatment,
    named: Iterable[_Named],
    weighed: Weighed,
    spoken: tuple[Reason, ...],
    prior: str,
    facts: PatientFacts,
    asks: _Asks,
) -> Option:
    rows = [n for n in named if n.line]
    line = rows[0].line
    titles = ", ".join(dict.fromkeys(n.condition.title.lower() for n in rows if n.line == line))
    ceiling = ""
    if weighed.ceiling_mg is not None:
        ceiling = f"at most {weighed.ceiling_mg} mg a day: {weighed.ceilings[0].text}"
    in_use = tuple(
        m.name for m in facts.medicines or () if m.days_ago == 0 and m.ingredients & {*treatment.ingredients}
    )
    reasons = (*spoken, *weighed.cautions)
    sources = (*treatment.sources, *(s for n in rows for s in n.condition.sources))
    sources += tuple(s for r in (*reasons, *weighed.ceilings) for s in r.sources)
    return Option(
        treatment=treatment,
        line=line,
        why=f"{line} for {titles}. {treatment.evidence}",
        ceiling=ceiling,
        ceiling_mg=weighed.ceiling_mg,
        cautions=reasons,
        check_first=tuple(dict.fromkeys((*weighed.checks, *treatment.check_first, *asks.unasked(weighed)))),
        prior=prior,
        in_use=in_use,
        sources=tuple(dict.fromkeys(sources)),
        verified=treatment.verified
        and all(n.condition.verified for n in rows)
        and all(r.verified for r in (*reasons, *weighed.ceilings)),
    )


def _helped(option: Option) -> bool:
    return option.prior.endswith(_SAID[Response.MEANINGFUL])


def _together(options: Iterable[Option], tried: Iterable[Tried]) -> tuple[Option, ...]:
    before = {t.what for t in tried if t.response is not Response.MEANINGFUL}
    found: dict[str, Option] = {}
    for option in options:
        treatment = option.treatment
        fresh = not option.in_use and treatment.id not in before
        if treatment.rung < INTERVENTIONAL and fresh and not option.cautions:
            found.setdefault(treatment.modality, option)
    return tuple(found.values())


# --- what is missing, and rungs without anything ------------------------------------------------------------


class _Asks:
    """The missing facts in words, each once, in the order in which they came up."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._said: dict[str, str] = {}
        self._problems: dict[str, None] = {}

    def words(self, fact: str, about: str = "") -> str:
        """One missing fact."""
        kind, _, problem = fact.partition(":")
        return in_words(self._terms.asks[kind], {"about": about or self._terms.problems.get(problem, "")})

    def needs(self, weighed: Weighed, facts: PatientFacts) -> tuple[str, ...]:
        """What has to be known before a treatment can be judged."""
        needs: list[str] = []
        for fact in weighed.unsettled:
            abouts = facts.unknown_medicines if fact == "unknown-medicines" else ("",)
            needs += (self.words(fact, about) for about in abouts)
        return tuple(needs)

    def unasked(self, weighed: Weighed) -> tuple[str, ...]:
        """What is not on record and would speak against a treatment, in one line at most for each kind."""
        open_facts = [f for f in weighed.missing if f not in weighed.unsettled]
        problems = ", ".join(self._terms.problems[f.partition(":")[2]] for f in open_facts if ":" in f)
        said = [self.words(f) for f in open_facts if ":" not in f and f != "unknown-medicines"]
        return (*said, self.words("problems", problems)) if problems else tuple(said)

    def add(self, fact: str, about: str = "") -> None:
        """Ask for a fact, or about a name that was not understood."""
        self._said.setdefault(f"{fact}:{about}" if about else fact, self.words(fact, about))

    def lacking(self, weighed: Weighed) -> None:
        """Ask for what a treatment lacks. Medicines that are listed and not recognised are asked for by
        name elsewhere; problems are asked for in one question."""
        for fact in weighed.missing:
            kind, _, problem = fact.partition(":")
            if problem:
                self._problems[self._terms.problems[problem]] = None
            elif kind != "unknown-medicines":
                self.add(fact)

    @property
    def said(self) -> dict[str, str]:
        """Every question by the name of its fact."""
        if not self._problems:
            return dict(self._said)
        return {**self._said, "problems": self.words("problems", ", ".join(self._problems))}


def _ladder(
    declared: Alternatives,
    matched: tuple[Matched, ...],
    options: list[Option],
    left_out: list[LeftOut],
    undecided: list[Undecided],
    later: list[Later],
) -> tuple[Rung, ...]:
    """Every rung, so that none is passed over without a word. No condition, no ladder."""
    if not matched:
        return ()
    rungs = []
    for number, title in declared.rungs.items():
        here = tuple(o for o in options if o.treatment.rung == number)
        parts = [
            _titles("left out", [e.treatment for e in left_out if not e.part], number),
            _titles("cannot be judged yet", [e.treatment for e in undecided], number),
            _titles("later", [e.treatment for e in later], number),
        ]
        said = "; ".join(p for p in parts if p) or "nothing on this rung is known for the condition"
        rungs.append(Rung(number, title, here, "" if here else said))
    return tuple(rungs)


def _titles(words: str, treatments: Iterable[Treatment], rung: int) -> str:
    titles = ", ".join(t.title for t in treatments if t.rung == rung)
    return f"{words}: {titles}" if titles else ""
