"""Reading the body of a request: one media type, no encodings, bounded before it is parsed."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import UnsupportedMediaType

from stewardship.intake.strict_json import loads


def json_body(*, max_bytes: int, max_keys: int, also: tuple[str, ...] = ()) -> object:
    """The strict JSON of the current request's body. ``also`` are further names that JSON may go by.

    415 for anything that does not call itself JSON, for another character set and for compressed bodies
    (a small one may unfold to any size); 413 and 400 as ``strict_json.loads`` says.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    if request.mimetype not in ("application/json", *also):
        raise UnsupportedMediaType("send JSON as application/json")
    if request.mimetype_params.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("send JSON in UTF-8")
    # One more than allowed: a body without a length is cut off there without a word, and one that was cut
    # off must be seen to be too large.
    request.max_content_length = max_bytes + 1
    return loads(request.get_data(cache=False), max_bytes=max_bytes, max_keys=max_keys)
