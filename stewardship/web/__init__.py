"""What a person sees in a browser: server-rendered pages, one module for each kind of reader.

``pages`` is the frame around all of them, ``assets`` what they load, ``reading`` how values are written,
``errors`` what is shown when something went wrong. A module with pages has a blueprint ``room``, and is
named in ``ROOMS``.
"""

from __future__ import annotations

from flask import Flask

from stewardship.web import (
    account,
    alternatives,
    asking,
    assessing,
    assets,
    charting,
    coordinating,
    decided,
    exceptions,
    explaining,
    flagged,
    front,
    function,
    holding,
    identities,
    in_force,
    matches,
    messages,
    orders,
    pages,
    patients,
    planning,
    provider_sign_in,
    questionnaire,
    queue,
    raising,
    referring,
    reporting,
    sign_in,
    sign_in_steps,
    tapering,
    trail,
    why,
    worklist,
)
from stewardship.web.errors import error_page
from stewardship.web.sign_in import ask as ask_to_sign_in

__all__ = ["ask_to_sign_in", "error_page", "register"]

#: Every module with pages.
ROOMS = (
    assets,
    front,
    sign_in,
    provider_sign_in,
    sign_in_steps,
    account,
    questionnaire,
    worklist,
    patients,
    charting,
    orders,
    decided,
    function,
    assessing,
    planning,
    referring,
    coordinating,
    tapering,
    asking,
    alternatives,
    explaining,
    queue,
    flagged,
    raising,
    exceptions,
    messages,
    matches,
    identities,
    in_force,
    trail,
    why,
    reporting,
    holding,
)


def register(app: Flask) -> None:
    """Add all pages to the application."""
    pages.install(app)
    for module in ROOMS:
        app.register_blueprint(module.room)
