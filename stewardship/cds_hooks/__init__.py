"""CDS Hooks 2.0: ``/cds-services``, for electronic health records.

What is answered when something is missing is in one place for each case: the envelope and the gaps of
the history in ``intake.cds_request``, cards in ``cards``, failures of our own in ``views``.
"""

from __future__ import annotations

from flask import Flask

from stewardship.cds_hooks.discovery import SERVICES, Service
from stewardship.cds_hooks.views import blueprint

__all__ = ["SERVICES", "Service", "register"]


def register(app: Flask) -> None:
    """Add the services to the application."""
    app.register_blueprint(blueprint)
