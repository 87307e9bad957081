"""What pages load: served from here, kept by hash, as published, and under a strict policy."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask

from stewardship.web import assets

STATIC = Path(assets.__file__).parent / "static"
VENDOR = STATIC / "vendor"


@pytest.fixture(scope="module")
def app() -> Flask:
    made = Flask("assets", static_folder=None)
    made.register_blueprint(assets.room)
    return made


def vendored() -> dict[str, str]:
    listed = (VENDOR / "VENDORED.md").read_text()
    return dict(re.findall(r"^\| `([^`]+)` \| \d+ \| `([0-9a-f]{64})` \|$", listed, re.MULTILINE))


def test_every_vendored_file_is_listed_as_published():
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "VENDORED.md"
    }
    assert found == vendored()


def test_what_is_taken_comes_with_its_licences():
    there = set(vendored())
    assert {"uswds/LICENSE.md", "uswds/fonts/OFL-1.1.txt", "htmx/LICENSE"} <= there
    assert {"echarts/LICENSE", "echarts/NOTICE", "echarts/LICENSE-d3"} <= there


def test_an_asset_is_kept_for_a_year_under_its_version(app: Flask):
    answer = app.test_client().get(assets.asset("site.css"))
    assert answer.status_code == 200
    assert answer.content_type == "text/css; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.data == (STATIC / "site.css").read_bytes()


def test_an_asset_of_another_version_is_not_kept(app: Flask):
    answer = app.test_client().get("/static/000000000000/site.css")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


def test_text_is_packed_for_whoever_takes_it(app: Flask):
    style = assets.asset("vendor/uswds/css/uswds.min.css")
    packed = app.test_client().get(style, headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == (VENDOR / "uswds/css/uswds.min.css").read_bytes()
    assert "Content-Encoding" not in app.test_client().get(style).headers


@pytest.mark.parametrize("name", ["../pages.py", "..%2fpages.py", "vendor/../../pages.py", "nothing.css", ""])
def test_nothing_outside_the_folder_is_served(app: Flask, name: str):
    assert app.test_client().get(f"/static/{assets.version()}/{name}").status_code == 404


def test_fonts_that_the_style_asks_for_first_are_there():
    style = (VENDOR / "uswds/css/uswds.min.css").read_text()
    asked = set(re.findall(r"url\(\.\./(fonts/[^)]*(?:regular|bold)[^)]*\.woff2)\)", style))
    assert asked
    assert {f for f in asked if "source-sans" in f} <= {n.removeprefix("uswds/") for n in vendored()}


def test_no_template_brings_code_or_style_inside_the_page():
    for template in (Path(assets.__file__).parent / "templates").rglob("*.html"):
        text = template.read_text()
        assert "style=" not in text, template.name
        assert "|safe" not in text.replace(" ", ""), template.name
        assert not re.search(r"\son[a-z]+=", text), template.name
        for attributes in re.findall(r"<script([^>]*)>", text):
            assert "src=" in attributes or 'type="application/json"' in attributes, template.name
