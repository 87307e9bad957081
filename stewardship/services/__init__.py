"""Use cases: load the facts, ask the domain, write the result and its audit event.

A function takes ``session`` and never commits: the caller opens the transaction, so that a change and
its audit event are one unit. ``by`` is who asks, ``now`` is when; both are always passed in. Everything
is asked of and written for the organisation of ``by``: another's id is answered like a missing one.
"""

from __future__ import annotations
