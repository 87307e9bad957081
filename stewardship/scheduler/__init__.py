"""What is done when nobody asks: reviews opened and missed, people reminded, the record checked.

``JOBS`` is the table; a periodic job is a line in it. How often it is looked after is a cadence
(``domain.cadence``), what it does a function in ``work`` that asks the database what is due. ``running`` does
one job once, ``process`` is the dedicated process. Everybody may start one: of several, one leads.

=================  ================================================================================
``ask-clock``      reviews are planned, moved or closed as the clock of reassessment says
``open-due``       reviews whose time has come are opened, those whose day is over are missed
``escalate``       what was missed is noted once, and told to those who watch over it
``nightly-watch``  every patient for whom a look is due, and flags for what is seen
``watch-tapers``   next steps of tapers, and flags for what is dispensed faster than planned
``watch-alternatives``  flags for those who might benefit from what was never tried
``remind``         a digest for each clinician, once a day
``self-check``     whether the record, the policies, the schema, feeds, jobs and mail are in order
``checkpoint``     how far the audit trail has come is signed, where a file for that is named
``send``           what waits in the outbox is sent
=================  ================================================================================
"""

from __future__ import annotations

from datetime import time, timedelta

from stewardship.domain.cadence import Daily, Every
from stewardship.scheduler import self_check, work
from stewardship.scheduler.running import Job, Turn
from stewardship.services.job_runs import Done


def _self_check(turn: Turn) -> Done:
    return self_check.run(turn, CADENCES)


#: In the order in which ``--once`` does them: what one writes, the next may read.
JOBS = (
    Job("ask-clock", Every(timedelta(minutes=30)), work.ask_clock),
    Job("open-due", Every(timedelta(minutes=5)), work.open_due),
    Job("escalate", Every(timedelta(minutes=15)), work.escalate),
    Job("nightly-watch", Daily(time(2)), work.nightly_watch),
    Job("watch-tapers", Daily(time(3)), work.watch_tapers),
    Job("watch-alternatives", Daily(time(3, 30)), work.watch_alternatives),
    Job("remind", Daily(time(6, 30)), work.remind),
    Job("self-check", Daily(time(4)), _self_check),
    Job("checkpoint", Every(timedelta(minutes=1)), work.checkpoint),
    Job("send", Every(timedelta(minutes=1)), work.send),
)

#: For whoever asks how the jobs are.
CADENCES = tuple((job.name, job.cadence) for job in JOBS)
