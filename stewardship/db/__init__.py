"""What is kept: decisions, their findings, what people did about them, and patients' histories.

The domain is never saved. Rows are ordinary SQLAlchemy models (``tables``), and one place makes a
``Chart`` of them (``charts``). The caller opens the transaction and a service never commits, so a change
and its audit event are one unit by construction.

=============  ====================================================================================
``engine``     the two databases, made to behave alike; ``transaction``
``columns``    column types that mean the same on both: instants, decimals, words
``documents``  canonical JSON, as stored
``tables``     the models; ``migrations/`` at the top level makes and changes them; those of what
               arrives in files stand in ``import_tables``, of who signs in in ``identity_tables``
``migrate``    up, down, and which schema a database has
``charts``     rows -> ``Chart``, and joining it with what a request brought
=============  ====================================================================================
"""

from __future__ import annotations

from stewardship.db import benefit_tables as benefit_tables
from stewardship.db import care_tables as care_tables
from stewardship.db import flag_tables as flag_tables
from stewardship.db import follow_up_tables as follow_up_tables
from stewardship.db import function_tables as function_tables
from stewardship.db import identity_tables as identity_tables
from stewardship.db import import_tables as import_tables
from stewardship.db import job_tables as job_tables
from stewardship.db import match_tables as match_tables
from stewardship.db import outreach_tables as outreach_tables
from stewardship.db import plan_tables as plan_tables
from stewardship.db import retention_tables as retention_tables
from stewardship.db import token_tables as token_tables
from stewardship.db.engine import AuditKeys, Sessions, connect, transaction

__all__ = ["AuditKeys", "Sessions", "connect", "transaction"]
