"""The accessibility rules of WCAG 2.0 to 2.2, A and AA, run in the page by axe."""

from __future__ import annotations

from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_AXE = Axe()
_RULES: dict[str, object] = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}
#: The rules that look at colours: nothing else of a page is another in another theme.
_OF_COLOURS: dict[str, object] = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
}


def violations(page: Page, rules: dict[str, object] = _RULES) -> list[str]:
    """What axe finds, each with the place; empty when all is well."""
    found = _AXE.run(page, options=rules).response["violations"]
    return [
        f"{one['id']}: {one['help']} at {', '.join(' '.join(node['target']) for node in one['nodes'][:4])}"
        f" {one['nodes'][0].get('failureSummary', '')[:200]}"
        for one in found
    ]


def in_both_themes(
    page: Page, name: str, keep: Callable[[Page, str], object] = lambda _page, _name: None
) -> dict[str, list[str]]:
    """What axe finds on the page as it stands, by theme; everything that is folded away is opened first.
    ``keep`` is given the page in each theme."""
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = {}
    for theme, rules in (("dark", _OF_COLOURS), ("light", _RULES)):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found[f"{name}, {theme}"] = violations(page, rules)
        keep(page, f"{name}-{theme}")
    return {place: said for place, said in found.items() if said}
