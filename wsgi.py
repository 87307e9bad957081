"""The application for any WSGI server: ``granian --interface wsgi wsgi:app``, ``gunicorn wsgi:app``."""

from __future__ import annotations

from stewardship.app import from_environment

app = from_environment()
