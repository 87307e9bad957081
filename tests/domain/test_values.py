"""A quick constructor takes what a dataclass's own takes, and what it makes is as frozen."""

from __future__ import annotations

import copy
import inspect
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from stewardship.domain import chart, dosage, episodes, mme, orders, policy
from stewardship.domain.values import quick


@dataclass(frozen=True, slots=True)
class Usual:
    first: str
    second: int = 2
    third: list[int] = field(default_factory=list)
    told: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "told", f"{self.first}, {self.second}")


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    first: str
    second: int = 2
    third: list[int] = field(default_factory=list)
    told: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "told", f"{self.first}, {self.second}")


@pytest.mark.parametrize(
    ("given", "named"),
    [(("a",), {}), (("a", 3), {}), (("a",), {"third": [1]}), ((), {"second": 5, "first": "b"})],
    ids=["defaults", "in order", "one by name", "all by name"],
)
def test_it_takes_the_same_arguments_and_makes_the_same(given, named):
    usual, made = Usual(*given, **named), Quick(*given, **named)
    assert type(made) is Quick
    assert [getattr(made, f.name) for f in fields(Quick)] == [getattr(usual, f.name) for f in fields(Usual)]


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), (("a", 1, [], "told"), {}), (("a",), {"told": "x"}), (("a",), {"fourth": 1})],
    ids=["too few", "too many", "one that is not given", "one that there is not"],
)
def test_it_refuses_the_same_arguments(given, named):
    for kind in (Usual, Quick):
        with pytest.raises(TypeError):
            kind(*given, **named)


def test_what_it_makes_is_frozen():
    made = Quick("a")
    with pytest.raises(FrozenInstanceError):
        made.first = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del made.first
    with pytest.raises((AttributeError, TypeError)):
        made.fourth = 1  # type: ignore[attr-defined]


def test_two_do_not_share_what_a_factory_made():
    assert Quick("a").third is not Quick("a").third


def test_it_is_equal_copied_and_replaced_as_usual():
    made = Quick("a", 3, [1])
    assert made == Quick("a", 3, [1])
    assert made != Quick("a", 4, [1])
    assert replace(made, second=4) == Quick("a", 4, [1])
    assert replace(made, second=4).told == "a, 4"
    assert copy.deepcopy(made) == made
    assert repr(made) == "Quick(first='a', second=3, third=[1], told='a, 3')"


@pytest.mark.parametrize(
    "kind",
    [policy.Finding, orders.Supply, episodes.Exposure, dosage.DosageInstruction, chart.Condition, mme.Total],
    ids=lambda kind: kind.__name__,
)
def test_the_constructor_says_what_it_takes(kind: type):
    taken = list(inspect.signature(kind).parameters)
    assert taken == [f.name for f in fields(kind) if f.init]
