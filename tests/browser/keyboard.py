"""Which actions of a page the Tab key does not reach."""

from __future__ import annotations

from playwright.sync_api import Page

#: Numbers every action that is shown and can be taken, and tells how each reads.
_ACTIONS = """() => {
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  const all = 'a[href], button, input:not([type=hidden]), select, textarea, summary';
  return [...document.querySelectorAll(all)]
    .filter(e => e.getClientRects().length && !e.disabled && getComputedStyle(e).visibility !== 'hidden')
    .map((e, place) => {
      e.dataset.place = place;
      return `${e.tagName.toLowerCase()} ${e.name || e.textContent.trim().slice(0, 40)}`;
    });
}"""
#: What has the focus. One button of a group of radio buttons stands for all: arrow keys go on from there.
_FOCUSED = """() => {
  const e = document.activeElement;
  const group = e.type === 'radio' ? [...document.getElementsByName(e.name)] : [e];
  return group.map(one => one.dataset.place).filter(place => place !== undefined).map(Number);
}"""


def not_reached(page: Page) -> list[str]:
    """The actions that Tab does not come to, from the top of the page to its end."""
    actions = page.evaluate(_ACTIONS)
    reached: set[int] = set()
    page.evaluate("() => { document.activeElement.blur(); window.getSelection().removeAllRanges(); }")
    # A few more than there are actions: regions that scroll are stops as well.
    for _ in range(len(actions) + 40):
        page.keyboard.press("Tab")
        reached.update(page.evaluate(_FOCUSED))
        if len(reached) == len(actions):
            break
    return [action for place, action in enumerate(actions) if place not in reached]
