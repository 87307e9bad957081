"""The prescriber's day in a real browser: from the sign-in to a decision that is done, by mouse, by keyboard,
without scripts, on a phone; every page held to axe in both themes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import in_both_themes
from tests.browser.conftest import PASSWORD, Seen, Served
from tests.browser.keyboard import not_reached

#: A patient of the clinic on oxycodone, with measurements of function: an early refill and a higher dose ask
#: for a reason.
PATIENT = "demo-0066"
#: Another one on oxycodone, of whom nothing is in the way of a taper.
TAKES_OPIOIDS = PATIENT
Opened = Callable[..., Seen]
Picture = Callable[[Page, str], Path]


def write_order(page: Page) -> None:
    """Twice the dose, for a month."""
    page.get_by_label("Name of the medicine").press_sequentially("oxycodone 10", delay=15)
    page.locator("#medicines label", has_text="oxycodone hydrochloride 10 MG Oral Tablet").first.click()
    page.get_by_label("Dose each time").fill("1")
    page.get_by_label("How often").select_option(label="4 times a day")
    page.get_by_label("Quantity").fill("120")
    page.get_by_label("Days' supply").fill("30")
    page.get_by_label("Refills").fill("0")
    page.get_by_label("Phase of pain").select_option("chronic")


@pytest.fixture(scope="module")
def decided(browser: Any, served: Served) -> Iterator[tuple[str, str]]:
    """The paths of a patient and of a decision about an order of his, made once for the tests that look."""
    context = browser.new_context()
    one = Seen(context.new_page(), served)
    one.sign_in()
    patient = one.patient(PATIENT)
    one.page.get_by_role("link", name="Check an order").first.click()
    write_order(one.page)
    one.page.get_by_role("button", name="Submit the order").click()
    one.page.wait_for_url("**/decisions/*")
    yield patient, one.page.url.removeprefix(served.base)
    context.close()


# --- the journey -----------------------------------------------------------------------------------


def test_from_the_sign_in_to_done(opened: Opened, picture: Picture) -> None:
    seen = opened()
    page = seen.page
    seen.sign_in()
    picture(page, "front")
    seen.patient(PATIENT)
    expect(page.get_by_role("heading", name="Takes now")).to_be_visible()
    expect(page.locator(".picture__canvas--doses svg")).to_be_visible()
    picture(page, "patient")

    page.get_by_role("link", name="Check an order").first.click()
    write_order(page)
    # The answer came without a page load, and names the dose that the order would bring.
    answer = page.locator("#result")
    expect(answer).to_contain_text("82.5 MME/day")
    expect(answer).to_contain_text("1 tablet 4 times a day")
    assert page.url.endswith("/order")
    picture(page, "order")

    page.get_by_role("button", name="Submit the order").click()
    page.wait_for_url("**/decisions/*")
    expect(page.locator(".standing")).to_have_text("Needs a reason")
    picture(page, "decision")
    stops = page.get_by_text("Override", exact=False).filter(has=page.locator("xpath=self::summary"))
    while stops.count():
        stops.first.click()
        form = page.locator("details[open] form").first
        form.locator("label.usa-radio__label").first.click()
        form.get_by_label("Comment (optional)").fill("Talked through with the patient")
        form.get_by_role("button", name="Override with this reason").click()
        expect(page.get_by_role("status")).to_contain_text("overridden")
    expect(page.locator(".standing")).not_to_have_text("Needs a reason")
    expect(page.locator(".done").first).to_contain_text("Talked through with the patient")

    page.get_by_role("link", name="Explain it to the patient").click()
    expect(page.get_by_role("heading", name="About your pain medicine")).to_be_visible()
    picture(page, "explanation")


def test_a_measurement_a_goal_and_an_alternative_are_kept(opened: Opened) -> None:
    seen = opened()
    page = seen.page
    seen.sign_in()
    seen.patient("demo-0012")
    page.get_by_role("link", name="Record a PEG").first.click()
    for item in ("pain", "enjoyment", "activity"):
        page.locator(f"#{item}-4").check()
    page.get_by_role("button", name="Keep these answers").click()
    expect(page.get_by_role("status")).to_contain_text("score 4")

    page.get_by_role("link", name="Set a goal").click()
    page.get_by_label("What the patient wants to do").fill("No pain")
    page.get_by_label("How it is now").fill("bad")
    page.get_by_label("How it should be").fill("good")
    page.get_by_label("By when").fill("2031-01-01")
    page.get_by_role("button", name="Set the goal").click()
    expect(page.locator(".usa-error-message").first).to_be_visible()
    assert page.get_by_label("How it is now").input_value() == "bad"
    seen.complaints.clear()  # the browser notes that the form was refused
    page.get_by_label("What the patient wants to do").fill("Walk to the shop and back")
    page.get_by_role("button", name="Set the goal").click()
    expect(page.get_by_text("Walk to the shop and back")).to_be_visible()

    page.get_by_role("link", name="What else could help").first.click()
    offer = page.locator("article.option").first
    offer.locator("summary", has_text="Put to the patient").click()
    offer.get_by_text("The patient does not want it").click()
    offer.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("status")).to_contain_text("on record")
    expect(page.locator(".done").first).to_contain_text("The patient does not want it")


def test_by_keyboard_alone(opened: Opened) -> None:
    seen = opened()
    page = seen.page
    seen.go("/sign-in")
    reach(page, "#name")
    page.keyboard.type(seen.served.logins["prescriber"])
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(seen.served.base + "/")
    page.wait_for_load_state("networkidle")
    reach(page, ".site-nav a[href='/patients']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients")
    reach(page, "#number")
    page.keyboard.type(PATIENT)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Found")).to_be_visible()
    reach(page, "tbody th a")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/patients/[0-9a-f]{32}$"))
    reach(page, ".patient-head a.usa-button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/order")
    reach(page, "#medicine")
    page.keyboard.type("oxycodone 5", delay=15)
    expect(page.locator("#medicines input[type=radio]").first).to_be_attached()
    reach(page, "#medicines input[type=radio]")
    page.keyboard.press("Space")
    reach(page, "#dose")
    page.keyboard.type("1")
    reach(page, "#often")
    page.keyboard.type("twice")
    reach(page, "#quantity")
    page.keyboard.type("10")
    reach(page, "#days")
    page.keyboard.type("5")
    # Enter in a field asks for the answer; it signs nothing.
    page.keyboard.press("Enter")
    expect(page.locator("#result .standing")).to_be_visible()
    assert page.url.endswith("/order")
    reach(page, "button:has-text('Submit the order')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/decisions/*")
    reach(page, "details.act summary")
    page.keyboard.press("Enter")
    reach(page, "details[open] input[type=radio]")
    page.keyboard.press("Space")
    reach(page, "details[open] button[type=submit]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_visible()


def reach(page: Page, selector: str, most: int = 90) -> None:
    """Press Tab until the focus is on the wanted element; the focus can be seen wherever it is."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", _plain(selector)):
            if (
                "has-text" in selector
                and page.evaluate("document.activeElement.textContent").strip() not in selector
            ):
                continue
            seen = page.evaluate(
                "() => { const s = getComputedStyle(document.activeElement); const l = document.activeElement"
                ".nextElementSibling; const t = l ? getComputedStyle(l) : s;"
                " return s.outlineStyle !== 'none' || t.outlineStyle !== 'none' || s.boxShadow !== 'none'; }"
            )
            assert seen, f"the focus cannot be seen on {selector}"
            return
    raise AssertionError(f"{selector} cannot be reached by keyboard")


def _plain(selector: str) -> str:
    return selector.partition(":has-text")[0]


def test_without_scripts(opened: Opened) -> None:
    seen = opened(scripts=False)
    page = seen.page
    seen.sign_in()
    seen.patient(PATIENT)
    expect(page.locator("img.picture__still")).to_be_visible()
    assert page.evaluate("1") == 1
    page.get_by_role("link", name="Check an order").first.click()
    page.get_by_label("Name of the medicine").fill("oxycodone 5")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("oxycodone hydrochloride 5 MG Oral Tablet", exact=False).first.click()
    page.get_by_label("Dose each time").fill("1")
    page.get_by_label("Unit").select_option("tablet")
    page.get_by_label("How often").select_option(label="twice a day")
    page.get_by_label("Quantity").fill("10")
    page.get_by_label("Days' supply").fill("5")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#result .standing")).to_be_visible()
    assert page.get_by_label("Quantity").input_value() == "10"
    page.get_by_role("button", name="Submit the order").click()
    expect(page.get_by_role("heading", name="Every policy considered")).to_be_visible()


def test_a_plan_and_a_taper_by_keyboard_alone(opened: Opened, picture: Picture) -> None:
    """From the patient's page to a plan with a step that was begun and answered, and to a taper on pause."""
    seen = opened()
    page = seen.page
    seen.sign_in()
    patient = seen.patient(TAKES_OPIOIDS)
    found: dict[str, list[str]] = {}
    follow(page, "#plan ~ p a[href$='/plans/new']", "**/plans/new")
    reach(page, "main button:has-text('Start the plan')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    found |= in_both_themes(page, "plan refused")
    for field, typed in (
        ("other", "M54.50"), ("owner", "Primary"), ("activity", "walk to the shop"),
        ("baseline", "not at all"), ("target", "every day"), ("due_on", in_days(90)),
    ):  # fmt: skip
        reach(page, f"#{field}")
        page.keyboard.type(typed)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/plans/[0-9a-f]{32}$"))
    plan = page.url
    follow(page, "a[href$='/steps/new']", "**/steps/new")
    reach(page, "#treatment")
    page.keyboard.type("Activity pacing")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(plan)
    follow(page, "a[href$='/begin']", "**/begin")
    follow(page, "main button:has-text('It has begun')", plan)
    follow(page, "a[href$='/respond']", "**/respond")
    reach(page, "#relief")
    page.keyboard.type("many")
    page.keyboard.press("Enter")
    expect(page.locator("#relief-fault")).to_be_visible()
    assert page.locator("#relief").input_value() == "many"
    found |= in_both_themes(page, "response refused")
    reach(page, "#relief")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("40")
    reach(page, "#function")
    page.keyboard.type("better")
    follow(page, "main button:has-text('Keep it')", plan)
    expect(page.get_by_text("relief 40")).to_be_visible()
    found |= in_both_themes(page, "plan")
    picture(page, "plan")
    missed = {"plan": not_reached(page)}

    follow(page, "a[href$='/referrals/new']", "**/referrals/new")
    follow(page, "main button:has-text('Refer')", "**/referrals/new")
    expect(page.locator("#reason-fault")).to_be_visible()
    found |= in_both_themes(page, "referral refused")
    reach(page, "#discipline")
    page.keyboard.type("Pain medicine")
    reach(page, "#reason")
    page.keyboard.type("which joint is it")
    follow(page, "main button:has-text('Refer')", re.compile("/referrals/[0-9a-f]{32}$"))
    reach(page, "#status-accepted")
    page.keyboard.press("Space")
    reach(page, "main button:has-text('Keep it')")
    page.keyboard.press("Enter")
    expect(page.locator("#stands ~ ul")).to_contain_text("Accepted")
    found |= in_both_themes(page, "referral")
    picture(page, "referral")
    missed["referral"] = not_reached(page)
    follow(page, "a[href$='/letter']", "**/letter")
    expect(page.get_by_text("which joint is it")).to_be_visible()
    found |= in_both_themes(page, "letter")
    picture(page, "letter")
    for form in ("contacts/new", "goals/new"):
        page.goto(f"{plan}/{form}")
        found |= in_both_themes(page, form)
        missed[form] = not_reached(page)
    assert {name: actions for name, actions in missed.items() if actions} == {}

    seen.go(f"{patient}/tapers/new")
    reach(page, "#rxcui")
    page.keyboard.type("oxycodone")
    reach(page, "#asked_by-patient")
    page.keyboard.press("Space")
    reach(page, "#starts_on")
    page.keyboard.type(in_days(14))
    reach(page, "#for_pain")
    page.keyboard.press("Space")
    # The schedule comes by itself, before anything is kept.
    expect(page.locator("#schedule table")).to_be_visible()
    found |= in_both_themes(page, "taper")
    picture(page, "taper-new")
    reach(page, "#agreed")
    page.keyboard.press("Space")
    reach(page, "#words")
    page.keyboard.type("to drive again")
    reach(page, "#naloxone-yes")
    page.keyboard.press("Space")
    follow(page, "main button:has-text('Begin the taper')", re.compile("/tapers/[0-9a-f]{32}$"))
    found |= in_both_themes(page, "taper under way")
    picture(page, "taper")
    follow(page, "a[href$='/pause']", "**/pause")
    reach(page, "#reason")
    page.keyboard.type("sleeps badly")
    reach(page, "main button:has-text('Pause')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("paused")
    seen.complaints.clear()  # the two forms that were refused
    assert found == {}


def follow(page: Page, selector: str, to: str | re.Pattern[str]) -> None:
    """Come to a link or a button by keyboard, press it, and wait for where it leads."""
    reach(page, selector)
    page.keyboard.press("Enter")
    page.wait_for_url(to)


def in_days(days: int) -> str:
    """A day to come, as it is typed into a field for dates of this browser."""
    return f"{datetime.now(UTC).date() + timedelta(days=days):%m%d%Y}"


# --- every page --------------------------------------------------------------------------------------

PAGES = {
    "front": "/",
    "patients": "/patients",
    "patient": "{patient}",
    "order": "{patient}/order",
    "decision": "{decision}",
    "alternatives": "{patient}/alternatives",
    "measurement": "{patient}/measurements/peg",
    "goal": "{patient}/goals/new",
    "explanation": "{patient}/explanation/{id}",
    "assessment": "{patient}/assessment",
    "new plan": "{patient}/plans/new",
    "new taper": "{patient}/tapers/new",
    "links": "{patient}/links",
    "wishes": "{patient}/wishes",
    "coverage": "{patient}/coverage",
    "why": "{decision}/why",
    "missing": "/nothing/here",
}


def path_of(name: str, decided: tuple[str, str]) -> str:
    patient, decision = decided
    return PAGES[name].format(patient=patient, decision=decision, id=decision.rpartition("/")[2])


def test_axe_finds_nothing(opened: Opened, decided: tuple[str, str], picture: Picture) -> None:
    seen = opened()
    seen.go("/sign-in")
    found = in_both_themes(seen.page, "sign-in", picture)
    seen.sign_in()
    for name in PAGES:
        seen.go(path_of(name, decided))
        found |= in_both_themes(seen.page, name, picture)
    seen.go(path_of("order", decided))
    write_order(seen.page)
    expect(seen.page.locator("#result .standing")).to_be_visible()
    found |= in_both_themes(seen.page, "answer", picture)
    for name, where, do in (
        ("assessment refused", "assessment", "Keep the assessment"),
        ("override refused", "decision", "Override"),
    ):
        seen.go(path_of(where, decided))
        seen.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        seen.page.evaluate("document.querySelectorAll('[required]').forEach(f => { f.required = false; })")
        seen.page.get_by_role("button", name=re.compile(f"^{do}")).first.click()
        expect(seen.page.get_by_role("alert").first).to_be_visible()
        found |= in_both_themes(seen.page, name, picture)
    seen.complaints.clear()  # the page that is missing, and the forms that are refused
    assert found == {}


def test_tab_comes_to_every_action(opened: Opened, decided: tuple[str, str]) -> None:
    seen = opened()
    seen.sign_in()
    missed = {}
    for name in PAGES:
        seen.go(path_of(name, decided))
        missed[name] = not_reached(seen.page)
    seen.complaints.clear()  # the page that is missing
    assert {name: actions for name, actions in missed.items() if actions} == {}


def test_nothing_is_wider_than_a_phone(opened: Opened, decided: tuple[str, str], picture: Picture) -> None:
    seen = opened(width=320)
    seen.sign_in()
    wide = {}
    for name in PAGES:
        seen.go(path_of(name, decided))
        over = seen.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if over > 0:
            wide[name] = over
        picture(seen.page, f"{name}-320")
    seen.complaints.clear()  # the page that is missing
    assert wide == {}


def test_on_paper_nothing_is_only_for_clicking(
    opened: Opened, decided: tuple[str, str], picture: Picture
) -> None:
    seen = opened(theme="dark")
    seen.sign_in()
    seen.go(path_of("explanation", decided))
    seen.page.emulate_media(media="print")
    expect(seen.page.get_by_role("heading", name="About your pain medicine")).to_be_visible()
    expect(seen.page.locator(".site-header")).to_be_hidden()
    expect(seen.page.get_by_role("button", name="Print")).to_be_hidden()
    # The dark theme is for the screen: paper stays white.
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    picture(seen.page, "explanation-print")


def test_the_theme_is_kept_and_nothing_typed_is_lost(opened: Opened, decided: tuple[str, str]) -> None:
    seen = opened(theme="light")
    page = seen.page
    seen.sign_in()
    seen.go(path_of("goal", decided))
    page.get_by_label("What the patient wants to do").fill("Dance")
    dark = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(dark)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(dark) != before
    assert page.get_by_label("What the patient wants to do").input_value() == "Dance"
    page.reload()
    assert page.evaluate(dark) != before
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")


def test_moments_are_in_the_readers_zone(opened: Opened, decided: tuple[str, str]) -> None:
    said = {}
    for zone, name in (("Asia/Tokyo", "JST"), ("America/Phoenix", "MST")):
        seen = opened(zone=zone)
        seen.sign_in()
        seen.go(decided[1])
        said[name] = seen.page.locator(".facts time").filter(has_text=name).first.inner_text()
    assert said["JST"] != said["MST"]


def test_what_somebody_typed_stays_text(opened: Opened, decided: tuple[str, str]) -> None:
    seen = opened()
    page = seen.page
    seen.sign_in()
    seen.go(path_of("order", decided))
    hostile = "<img src=x onerror=alert(1)>"
    page.get_by_label("Name of the medicine").fill(hostile)
    page.get_by_label("Quantity").fill("5")
    expect(page.locator("#result .standing")).to_be_visible()
    page.get_by_role("button", name="Submit the order").click()
    page.wait_for_url("**/decisions/*")
    expect(page.get_by_role("heading", level=1)).to_have_text(hostile)
    assert page.locator("main img").count() == 0


def test_no_address_holds_what_names_a_patient(opened: Opened) -> None:
    seen = opened()
    asked: list[str] = []
    seen.page.on("request", lambda request: asked.append(request.url))
    seen.sign_in()
    seen.patient(PATIENT)
    born = re.search(r"born (?:[0-9]+ \w+ |\w+ [0-9]+, |)([0-9]{4})\b", seen.page.inner_text("main"))
    assert born
    seen.page.get_by_role("link", name="Check an order").first.click()
    write_order(seen.page)
    seen.page.get_by_role("button", name="Submit the order").click()
    seen.page.wait_for_url("**/decisions/*")
    assert len(asked) > 10
    # The year as a word of its own: any four digits may stand somewhere in a random id.
    told = re.compile(rf"{PATIENT}|\b{born[1]}\b|oxycodone")
    assert [url for url in asked if told.search(url)] == []
    # And nothing was asked of anybody else.
    assert [url for url in asked if not url.startswith(seen.served.base)] == []
