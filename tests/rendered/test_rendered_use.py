"""What a reader does on a page, with no kernel and no mouse: move sliders, open folds."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.rendered.browser import DESKTOP, HEIGHT, PHONE

PICTURES = """box => [...box.querySelectorAll('img, svg[role=img], [role=img]')]
  .filter((picture) => !picture.parentElement.closest('[role=img]'))
  .filter((picture) => picture.checkVisibility({visibilityProperty: true}) && picture.getBoundingClientRect().width > 0)
  .map((picture) => picture.getAttribute('alt') || picture.getAttribute('aria-label') || '')"""
BOX = "xpath=ancestor::*[contains(concat(' ', normalize-space(@class), ' '), ' cell_output ')][1]"

SLIDER = "xpath=ancestor::*[contains(@class, 'widget-slider')][1]"


def test_sliders_move_their_frames_by_keyboard(slider_page, browse):
    with browse.open(slider_page) as (tab, log):
        loaded = len(log.errors)
        for width in (DESKTOP, PHONE):
            tab.set_viewport_size({"width": width, "height": HEIGHT[width]})
            handles = tab.locator(".widget-slider [role=slider]")
            assert handles.count() > 0
            for handle in handles.all():
                _move(handle, width)
        assert log.errors[loaded:] == []


def _move(handle: Locator, width: int) -> None:
    # book.js names the handles shortly after the widgets stand.
    expect(handle).to_have_accessible_name(re.compile(r"\w{2,}"))
    box, readout = handle.locator(BOX), handle.locator(SLIDER).locator(".widget-readout")
    before, text = box.evaluate(PICTURES), readout.inner_text()
    assert len(before) == 1, f"{len(before)} frames are visible at once"

    handle.scroll_into_view_if_needed()
    place = handle.bounding_box()
    assert place is not None
    assert 0 <= place["x"] <= width, "the handle lies outside the window"
    handle.focus()
    last = float(handle.get_attribute("aria-valuenow")) >= float(handle.get_attribute("aria-valuemax"))
    handle.press("ArrowLeft" if last else "ArrowRight")
    expect(readout).not_to_have_text(text)
    after = box.evaluate(PICTURES)
    assert len(after) == 1, f"{len(after)} frames are visible at once"
    assert after != before, "the slider moved and its picture, by its description, did not"


def test_folds_are_closed_and_open_by_keyboard(fold_page, browse):
    with browse.open(fold_page) as (tab, log):
        loaded = len(log.errors)
        folds = tab.locator("article details")
        count = folds.count()
        assert count > 0
        assert tab.locator("article details[open]").count() == 0, "a fold stands open before anyone asked"
        for index in range(count):
            summary = folds.nth(index).locator("> summary")
            if not summary.is_visible():  # inside another fold
                continue
            assert re.search(r"\w", summary.inner_text()), "a fold without a name"
            summary.focus()
            tab.keyboard.press("Enter")
            assert folds.nth(index).evaluate("fold => fold.open")
            height = folds.nth(index).evaluate("fold => fold.scrollHeight - fold.querySelector('summary').offsetHeight")
            assert height > 10, f"nothing is inside “{summary.inner_text()}”"
        assert log.errors[loaded:] == []
