"""The pharmacist's queue and the compliance officer's pages in a real browser: from the sign-in to done, two
people at one flag, by keyboard, on a phone; every page held to axe in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from stewardship.domain.people import Role
from tests.browser.axe import in_both_themes, violations
from tests.browser.conftest import PASSWORD, SECOND_PHARMACIST, Seen
from tests.browser.keyboard import not_reached

Opened = Callable[..., Seen]
Picture = Callable[[Page, str], Path]
PHARMACISTS = ("/queue", "/exceptions", "/matches", "/policies", "/policies/short-course")
OFFICERS = ("/queue", "/reports", "/reports/overrides", "/reports/flags", "/audit", "/retention")


def first_flag(page: Page, query: str = "") -> None:
    page.goto("/".join(page.url.split("/")[:3]) + f"/queue{query}")
    page.locator("#flags tbody th a").first.click()
    page.wait_for_url("**/queue/*")


def test_a_pharmacist_works_on_a_flag_from_sign_in_to_resolution(opened: Opened, picture: Picture) -> None:
    seen = opened()
    page = seen.page
    seen.sign_in(Role.PHARMACIST)
    page.get_by_role("link", name="Queue", exact=True).click()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    picture(page, "queue")
    page.get_by_label("In which order").select_option("newest")
    # The list came without a page load, and its address can be kept.
    page.wait_for_url("**sort=newest*")
    first_flag(page)
    expect(page.locator("img.picture__still")).to_have_js_property("complete", True)
    picture(page, "flag")
    page.get_by_role("button", name="Claim").click()
    expect(page.get_by_role("status").first).to_contain_text("You have this flag now.")
    page.get_by_label("What you found out").fill("Called the practice: it is known there.")
    page.get_by_role("button", name="Add the note").click()
    page.get_by_label("To", exact=True).fill("prescriber-browsing")
    page.get_by_label("Message", exact=True).fill("Is this still needed?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("not answered yet")).to_be_visible()
    at = page.url

    prescriber = opened()
    prescriber.sign_in(Role.PRESCRIBER)
    prescriber.page.get_by_role("link", name="Messages", exact=True).click()
    picture(prescriber.page, "messages")
    assert violations(prescriber.page) == []
    prescriber.page.get_by_label("Your answer").fill("Yes, until Friday.")
    prescriber.page.get_by_role("button", name="Answer").click()
    expect(prescriber.page.get_by_text("Nothing waits.")).to_be_visible()

    page.goto(at)
    expect(page.get_by_text("Yes, until Friday.").first).to_be_visible()
    page.get_by_label("As", exact=True).select_option("verified-with-prescriber")
    page.locator("#resolve-words").fill("Verified; a plan is in place.")
    page.get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("status").first).to_contain_text("The flag is resolved.")
    page.get_by_label("Because").fill("The plan was changed.")
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("status").first).to_contain_text("open again")


def test_two_pharmacists_at_one_flag(opened: Opened) -> None:
    one, other = opened(), opened(zone="Europe/Berlin")
    one.sign_in(Role.PHARMACIST)
    other.go("/sign-in")
    other.page.get_by_label("Name").fill(SECOND_PHARMACIST)
    other.page.get_by_label("Password").fill(PASSWORD)
    other.page.get_by_role("button", name="Sign in").click()
    other.page.wait_for_url(other.served.base + "/")
    first_flag(one.page, "?status=open&sort=age")
    other.page.goto(one.page.url)
    one.page.get_by_role("button", name="Claim").click()
    expect(one.page.get_by_role("status").first).to_contain_text("You have this flag now.")
    other.page.get_by_label("As", exact=True).select_option("coordinated")
    other.page.locator("#resolve-words").fill("I had nearly finished this one.")
    other.page.get_by_role("button", name="Resolve").click()
    expect(other.page.get_by_role("alert")).to_contain_text("pharmacist-browsing has this flag since")
    expect(other.page.locator("#resolve-words")).to_have_value("I had nearly finished this one.")
    expect(other.page.get_by_label("As", exact=True)).to_have_value("coordinated")
    other.complaints.clear()  # the browser notes that the form was refused


def test_the_queue_by_keyboard_alone(opened: Opened) -> None:
    seen = opened()
    page = seen.page
    seen.sign_in(Role.PHARMACIST)
    first_flag(page, "?status=open&sort=newest")
    page.keyboard.press("Tab")
    for _ in range(60):
        if page.evaluate("document.activeElement.textContent.trim()") == "Claim":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("You have this flag now.")
    page.get_by_role("button", name="Release").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("back in the queue")


def test_the_queue_without_scripts(opened: Opened) -> None:
    seen = opened(scripts=False)
    seen.sign_in(Role.PHARMACIST)
    seen.go("/queue")
    seen.page.get_by_label("Show", exact=True).select_option("resolved")
    seen.page.get_by_role("button", name="Show").click()
    assert "status=resolved" in seen.page.url


def test_a_compliance_officer_from_sign_in_to_a_report_in_hand(
    opened: Opened, picture: Picture, tmp_path: Path
) -> None:
    seen = opened()
    page = seen.page
    seen.sign_in(Role.COMPLIANCE)
    page.get_by_role("link", name="Policies", exact=True).first.click()
    picture(page, "policies")
    page.get_by_role("link", name="Short courses of opioids").click()
    expect(page.get_by_text("run just now")).to_be_visible()
    picture(page, "policy")
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_role("button", name="Verify the whole trail").click()
    expect(page.get_by_role("heading", name="Whole", exact=True)).to_be_visible()
    assert in_both_themes(page, "verified") == {}
    picture(page, "audit")
    page.get_by_role("link", name="Reports", exact=True).click()
    page.get_by_role("link", name="Overrides and exceptions").click()
    picture(page, "report")
    with page.expect_download() as coming:
        page.get_by_role("button", name="PDF").click()
    kept = tmp_path / "report.pdf"
    coming.value.save_as(kept)
    assert kept.read_bytes().startswith(b"%PDF")
    seen.go("/audit?action=export.made")
    expect(page.locator("tbody tr").first).to_contain_text("overrides")


@pytest.mark.parametrize("role", [Role.PHARMACIST, Role.COMPLIANCE], ids=lambda role: role.value)
def test_every_page_holds_to_axe(opened: Opened, picture: Picture, role: Role) -> None:
    seen = opened()
    seen.sign_in(role)
    found: dict[str, list[str]] = {}
    for path in PHARMACISTS if role is Role.PHARMACIST else OFFICERS:
        seen.go(path)
        found |= in_both_themes(seen.page, path.strip("/").replace("/", "-"), picture)
    first_flag(seen.page)
    found |= in_both_themes(seen.page, f"flag-{role.value}", picture)
    assert found == {}


@pytest.mark.parametrize("role", [Role.PHARMACIST, Role.COMPLIANCE], ids=lambda role: role.value)
def test_tab_comes_to_every_action(opened: Opened, role: Role) -> None:
    seen = opened()
    seen.sign_in(role)
    missed = {}
    for path in PHARMACISTS if role is Role.PHARMACIST else OFFICERS:
        seen.go(path)
        missed[path] = not_reached(seen.page)
    first_flag(seen.page)
    missed["flag"] = not_reached(seen.page)
    assert {path: actions for path, actions in missed.items() if actions} == {}
    seen.page.evaluate("document.querySelector('main a[href], main button').tabIndex = -1")
    assert len(not_reached(seen.page)) == 1


def test_what_was_refused_and_what_is_read_about_a_decision_hold_to_axe(opened: Opened) -> None:
    """The pages of 409 and 422, a match with its descriptions, why a decision stands, and it made again."""
    seen, beside = opened(), opened()
    seen.sign_in(Role.PHARMACIST)
    page, found = seen.page, {}
    first_flag(page, "?status=open&sort=age")
    resolve = page.get_by_role("button", name="Resolve")
    page.evaluate("document.querySelectorAll('[required]').forEach(f => { f.required = false; })")
    resolve.click()
    expect(page.get_by_role("alert")).to_be_visible()
    found |= in_both_themes(page, "flag, 422")
    beside.go("/sign-in")
    beside.page.get_by_label("Name").fill(SECOND_PHARMACIST)
    beside.page.get_by_label("Password").fill(PASSWORD)
    beside.page.get_by_role("button", name="Sign in").click()
    beside.page.wait_for_url(beside.served.base + "/")
    beside.page.goto("/".join(page.url.split("/")[:5]))
    seen.page.goto(beside.page.url)
    beside.page.get_by_role("button", name="Claim").click()
    expect(beside.page.get_by_role("status").first).to_contain_text("You have this flag now.")
    page.get_by_role("button", name="Claim").click()
    expect(page.get_by_role("alert")).to_contain_text("pharmacist-beside")
    found |= in_both_themes(page, "flag, 409")
    beside.page.get_by_role("button", name="Release").click()
    expect(beside.page.get_by_role("status").first).to_contain_text("back in the queue")

    seen.go("/matches")
    page.locator("main a[href^='/matches/']").first.click()
    found |= in_both_themes(page, "match")
    seen.go("/patients")
    page.get_by_label("Record number").fill("demo-0066")
    page.get_by_role("button", name="Find", exact=True).click()
    page.locator("main a[href^='/patients/']").first.click()
    page.wait_for_url("**/patients/*")
    patient = page.url
    page.goto(f"{patient}/identities")
    found |= in_both_themes(page, "descriptions")
    page.goto(f"{patient}/flags/new")
    page.get_by_role("button", name="Raise the flag").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found |= in_both_themes(page, "raise, 422")
    decision = f"{seen.served.base}/decisions/{seen.served.decision}"
    page.goto(decision)
    found |= in_both_themes(page, "decision")
    page.goto(f"{decision}/why")
    found |= in_both_themes(page, "why")
    officer = opened()
    officer.sign_in(Role.COMPLIANCE)
    officer.page.goto(f"{decision}/replay")
    found |= in_both_themes(officer.page, "replay")
    seen.complaints.clear()  # what was refused
    assert found == {}


@pytest.mark.parametrize("role", [Role.PHARMACIST, Role.COMPLIANCE], ids=lambda role: role.value)
def test_nothing_is_wider_than_a_phone(opened: Opened, picture: Picture, role: Role) -> None:
    seen = opened(width=320)
    seen.sign_in(role)
    wide = {}
    for path in PHARMACISTS if role is Role.PHARMACIST else OFFICERS:
        seen.go(path)
        wide[path] = seen.page.evaluate("document.documentElement.scrollWidth")
        picture(seen.page, f"phone{path.replace('/', '-')}")
    first_flag(seen.page)
    wide["flag"] = seen.page.evaluate("document.documentElement.scrollWidth")
    picture(seen.page, f"phone-flag-{role.value}")
    assert {path: width for path, width in wide.items() if width > 320} == {}
