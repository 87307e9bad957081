"""CDS Hooks 2.0: ``/cds-services``, for electronic health records.

What is answered when something is missing is in one place for each case: the envelope and the gaps of
the history in ``intake.cds_request``, cards in ``cards``, failures of our own in ``views``. What became of
the cards comes back to ``feedback``.
"""

from __future__ import annotations

from flask import Flask

from stewardship.cds_hooks import feedback, views
from stewardship.cds_hooks.discovery import SERVICES, Service

__all__ = ["SERVICES", "Service", "register"]


def register(app: Flask) -> None:
    """Add the services to the application."""
    app.register_blueprint(views.blueprint)
    app.register_blueprint(feedback.blueprint)
