"""The kinds of rule that a policy file can name, one small class each.

The annotated fields of a class are the parameters that its policy files set: no threshold is written
here. A rule takes facts and returns an answer; who is exempt and what a breach does to the order is the
policy's business. A new kind is a class in one of these chapters.
"""

from stewardship.domain.rules import courses, dose, overdose, refills, reviews
from stewardship.domain.rules.kinds import KINDS, ChartRule, OrderRule

__all__ = ["KINDS", "ChartRule", "OrderRule", "courses", "dose", "overdose", "refills", "reviews"]
