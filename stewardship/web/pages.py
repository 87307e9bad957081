"""What every page shares: the frame around it, who is reading, where they may go, and what was just done.

A room's module makes a ``Blueprint`` and answers with ``page(...)``; the template extends ``base.html``. The
navigation is data: a place is shown to whoever may go there, once its page exists.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Blueprint, Flask, Response, current_app, make_response, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from stewardship import __version__, auth
from stewardship.auth import Permission
from stewardship.config import Environment
from stewardship.domain.people import Principal
from stewardship.runtime import runtime
from stewardship.web import reading
from stewardship.web.assets import asset, icon

frame = Blueprint("pages", __name__, template_folder="templates")


class Place(NamedTuple):
    """Somewhere to go from every page, and what it takes to go there."""

    label: str
    address: str
    permission: Permission


#: The navigation, in its order.
PLACES = (
    Place("Patients", "/patients", Permission.READ_PATIENTS),
    Place("Worklist", "/worklist", Permission.READ_FUNCTION),
    Place("Queue", "/queue", Permission.READ_FLAGS),
    Place("Messages", "/messages", Permission.READ_MESSAGES),
    Place("Exceptions", "/exceptions", Permission.COUNTERSIGN_EXCEPTIONS),
    Place("Policies", "/policies", Permission.READ_POLICIES),
    Place("Reports", "/reports", Permission.READ_REPORTS),
    Place("Audit", "/audit", Permission.READ_AUDIT),
    Place("Retention", "/retention", Permission.READ_RETENTION),
)


def page(template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> Response:
    """A page inside the frame. A part of one, for htmx, is a template that does not extend the frame."""
    response = make_response(render_template(template, **context), status)
    response.content_type = "text/html; charset=utf-8"
    return response


def is_part() -> bool:
    """Whether htmx asks for a part of the page, rather than a browser for the whole."""
    return request.headers.get("HX-Request") == "true"


def reader() -> Principal | None:
    """Who reads this page; ``None`` when nobody is signed in."""
    return auth.reader()


def may(permission: Permission | str) -> bool:
    """Whether the reader's role may do this: what it may not do is not offered."""
    by = reader()
    return by is not None and permission in auth.PERMISSIONS[by.role] and _in_scope(by, permission)


def _in_scope(by: Principal, permission: str) -> bool:
    return not by.scopes or permission in by.scopes


def places() -> list[Place]:
    """Where the reader may go."""
    return [place for place in PLACES if may(place.permission) and has_page(place.address)]


def has_page(address: str) -> bool:
    """Whether there is a page at an address."""
    try:
        current_app.url_map.bind("").match(address, method="GET")
    except RequestRedirect:
        return True
    except MethodNotAllowed:
        return False
    except HTTPException:
        return False
    return True


@frame.app_context_processor
def _frame() -> dict[str, Any]:
    """What the frame and every page in it can ask for."""
    return {
        "asset": asset,
        "icon": icon,
        "may": may,
        "places": places,
        "has_page": has_page,
        "reader": reader(),
        "theme": reading.theme(),
        "demo": runtime().settings.environment is Environment.DEMO,
        "version": __version__,
        "because": runtime().library.clock.because,
        "Permission": Permission,
    }


def install(app: Flask) -> None:
    """Register the frame and the ways in which its pages write values."""
    app.register_blueprint(frame)
    app.jinja_env.filters.update(reading.FILTERS)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
