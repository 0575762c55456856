"""What the web application's forms ask for beside a prompt, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, Response, expect
from web_browser import CHROMIUM
from web_page import (
    PNG,
    PROMPT,
    VIDEO_MILLISECONDS,
    ask_for_video,
    credits_in,
    wait_until_all_are_in_the_gallery,
)
from web_service import WebService

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
    pytest.mark.slow,
]

# What a browser hands to a page where a file is dropped.
DROPPED = """bytes => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
    return dropped;
}"""


def test_picture_that_is_dropped_is_uploaded_and_begins_the_video(
    page: Page, service: WebService
) -> None:
    zone = page.locator(".drop-zone")
    dropped = page.evaluate_handle(DROPPED, list(PNG))
    zone.dispatch_event("dragover", {"dataTransfer": dropped})
    expect(zone).to_have_class(re.compile("is-over"))
    with page.expect_response(lambda response: response.url.endswith("/v1/media")) as uploaded:
        zone.dispatch_event("drop", {"dataTransfer": dropped})
    assert uploaded.value.json()["content_type"] == "image/png"
    expect(page.get_by_alt_text("The picture chosen")).to_be_visible()
    with page.expect_request(lambda request: request.url.endswith("/v1/videos")) as asked:
        card = ask_for_video(page, steps=2)
    assert uploaded.value.json()["id"] in (asked.value.post_data or "")
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    page.get_by_role("button", name="Remove picture").click()
    expect(page.get_by_label("First frame")).to_be_focused()
    expect(page.get_by_alt_text("The picture chosen")).to_be_hidden()


def test_price_is_told_before_and_follows_the_options(page: Page) -> None:
    price = page.locator("#prompt-price")
    expect(price).to_contain_text(re.compile(r"Costs [\d.]+ credits"))
    one = credits_in(price)
    page.get_by_label("How many").fill("3")
    expect(price).not_to_contain_text(f"Costs {one:g} ")
    assert credits_in(price) == pytest.approx(3 * one, abs=0.002)  # each is shown rounded
    page.get_by_label("Seconds").fill("1000")
    expect(price).to_be_hidden()  # no video is so long
    page.get_by_label("Seconds").fill("2")
    page.get_by_label("How many").fill("1")
    expect(price).to_contain_text(f"Costs {one:g} credits")
    expect(page.get_by_role("button", name="Make video")).to_have_accessible_description(
        re.compile("Costs")
    )
    card = ask_for_video(page, steps=2)
    expect(card).to_contain_text(f"at most {one:g} credits")


@pytest.mark.parametrize(
    ("kind", "fields", "seconds"),
    [
        ("Remix it", {"Strength": "0.5"}, "1"),
        ("Edit it", {"Strength": "0.4", "Length": "0.5"}, "0.5"),
        ("Extend it", {"Seconds to add": "1"}, "2.0625"),
    ],
)
def test_video_is_made_from_another_one(
    page: Page, service: WebService, kind: str, fields: dict[str, str], seconds: str
) -> None:
    page.get_by_label("Seconds").fill("1")
    card = ask_for_video(page, steps=4)
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    card.get_by_role("button", name="Make from it").click()
    dialog = page.locator("#derive")
    expect(dialog.get_by_label("What to do")).to_be_focused()
    dialog.get_by_label("What to do").select_option(kind)
    dialog.get_by_label("What should it show now?").fill("a blue square")
    with page.expect_response(lambda response: _is_price_of(response, fields)):
        for label, value in fields.items():
            dialog.get_by_label(label).fill(value)
    expect(dialog.locator("#derive-price")).to_contain_text(re.compile(r"Costs [\d.]+ credits"))
    price = credits_in(dialog.locator("#derive-price"))
    dialog.get_by_role("button", name="Make video").click()
    expect(dialog).to_be_hidden()
    made = page.locator(".live-card").first
    expect(made.get_by_role("heading", name="a blue square")).to_be_focused()
    expect(made).to_contain_text(f"{price:g} credits")
    expect(made).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    assert service.list()[0]["seconds"] == seconds


def test_error_stands_at_its_field_of_the_dialog(page: Page, service: WebService) -> None:
    service.make(prompt="a green star")
    page.reload()
    wait_until_all_are_in_the_gallery(page, service)
    page.get_by_role("button", name="Play: a green star").click()
    page.locator("#details").get_by_role("button", name="Make from it").click()
    dialog = page.locator("#derive")
    dialog.get_by_label("What to do").select_option("Extend it")
    dialog.get_by_label("Seconds to add").fill("900")
    dialog.get_by_role("button", name="Make video").click()
    expect(dialog.get_by_label("Seconds to add")).to_be_focused()
    expect(dialog.get_by_label("Seconds to add")).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_labels_and_a_start_deadline_are_asked_for(page: Page, service: WebService) -> None:
    page.get_by_text("More options").click()
    labels = page.get_by_label("Labels")
    labels.fill("Project")
    page.get_by_label("Start within").fill("300")
    page.get_by_label("What should it show?").fill("a labelled circle")
    page.get_by_role("button", name="Make video").click()
    expect(labels).to_be_focused()
    expect(labels).to_have_accessible_description(re.compile("name=value"))
    labels.fill("project=film, take=2")
    page.get_by_role("button", name="Make video").click()
    expect(page.locator(".live-card").first).to_contain_text("a labelled circle")
    assert service.list()[0]["labels"] == {"project": "film", "take": "2"}
    page.locator(".live-card").first.get_by_role("button", name="Cancel").click()


def test_webhook_that_cannot_be_signed_is_told_at_its_field(page: Page) -> None:
    page.get_by_text("More options").click()
    address = page.get_by_label("Address to tell when it is ready")
    page.get_by_label("What should it show?").fill(PROMPT)
    for url in ("no address", "https://example.com/told"):
        address.fill(url)
        page.get_by_role("button", name="Make video").click()
        expect(address).to_be_focused()
        expect(address).to_have_attribute("aria-invalid", "true")


def _is_price_of(response: Response, fields: dict[str, str]) -> bool:
    asked = response.request.post_data or ""
    is_price = response.url.endswith("/v1/videos/estimate")
    return is_price and all(f"\r\n{value}\r\n" in asked for value in fields.values())
