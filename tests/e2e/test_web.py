"""The web application in a real browser, against a real `telecine up`."""

import re

import pytest
from playwright.sync_api import Page, expect
from web_browser import CHROMIUM, accessibility_problems, has_sideways_scroll, shown_frame
from web_page import (
    PNG,
    PROMPT,
    VIDEO_MILLISECONDS,
    ask_for_video,
    picture,
    preview_after,
    wait_until_all_are_in_the_gallery,
)
from web_service import WebService

from telecine.client import Client
from telecine.v1 import account_pb2

from .conftest import OpenPage

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
    pytest.mark.slow,
]

PHONE = {"width": 360, "height": 740}
PAGE_SIZE = 12


def test_wrong_key_is_told_at_its_field_and_the_right_one_opens(
    open_page: OpenPage, service: WebService
) -> None:
    page = open_page()
    key = page.get_by_label("API key")
    expect(key).to_be_focused()
    for wrong in (f"{service.key[:-4]}AAAA", "no key at all"):
        key.fill(wrong)
        page.get_by_role("button", name="Sign in").click()
        expect(key).to_have_attribute("aria-invalid", "true")
        expect(key).to_have_accessible_description(re.compile("key", re.IGNORECASE))
        expect(page.locator("#key-error")).to_be_visible()
    key.fill(service.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Make video")).to_be_visible()


def test_key_stays_in_the_tab_until_sign_out(page: Page, service: WebService) -> None:
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.reload()
    expect(page.get_by_role("button", name="Make video")).to_be_visible()
    assert urls
    assert not [url for url in [*urls, page.url] if service.key in url]
    page.evaluate("sessionStorage.setItem('telecine.kept', 'yes')")
    other = page.context.new_page()
    other.goto(service.url)
    expect(other.get_by_label("API key")).to_be_visible()
    other.evaluate(f"sessionStorage.setItem('telecine.api_key', '{service.key}')")
    other.reload()
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_label("API key")).to_be_visible()
    assert other.evaluate("sessionStorage.getItem('telecine.api_key')") is None


def test_revoked_key_leads_back_to_its_field(open_page: OpenPage, service: WebService) -> None:
    with Client(service.gateway, api_key=service.key) as client:
        made = client.create_api_key(account_pb2.ApiKey(scopes=["videos:read", "videos:write"]))
        page = open_page(key=made.secret)
        expect(page.locator("#prompt-price")).to_be_visible()
        page.get_by_label("What should it show?").fill(PROMPT)
        client.revoke_api_key(made.name)
    page.get_by_role("button", name="Make video").click()
    expect(page.get_by_label("API key")).to_have_accessible_description(re.compile("revoked"))


def test_video_is_seen_while_it_is_made_and_then_plays(page: Page) -> None:
    card = ask_for_video(page, steps=40)
    previews = {preview_after(card, set())}
    for _ in range(2):
        previews.add(preview_after(card, previews))
    assert len(previews) == 3
    expect(card).to_contain_text(re.compile(r"step \d+ of 40.* at most [\d.]+ credits"))
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)

    player = card.locator("video")
    page.wait_for_function("() => document.querySelector('.live-card video').currentTime > 0.2")
    frame = shown_frame(page, ".live-card video")
    assert (frame["width"], frame["height"]) == (128, 128)
    assert frame["range"] > 50
    assert player.evaluate("video => Math.round(video.duration)") == 2
    with page.expect_download() as download:
        card.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".mp4")
    assert download.value.path().read_bytes()[4:8] == b"ftyp"


def test_realtime_video_plays_from_its_first_frame_while_it_is_made(
    page: Page, service: WebService
) -> None:
    page.get_by_text("More options").click()
    page.get_by_label("Tier").select_option("realtime")
    page.get_by_label("Seconds", exact=True).fill("6")
    card = ask_for_video(page, steps=40)
    page.wait_for_function(
        "() => document.querySelector('.live-card video')?.currentTime > 0.2",
        timeout=VIDEO_MILLISECONDS,
    )
    assert service.list()[0]["status"] == "in_progress"
    frame = shown_frame(page, ".live-card video")
    assert (frame["width"], frame["height"]) == (128, 128)
    assert frame["range"] > 50
    expect(card.locator("video")).to_have_attribute("aria-label", re.compile("as it is made"))
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    whole = card.locator("video:not([aria-label$='as it is made'])")
    expect(whole).to_be_visible(timeout=VIDEO_MILLISECONDS)
    page.wait_for_function("() => document.querySelector('.live-card video').currentTime > 0.2")
    assert whole.evaluate("video => Math.round(video.duration)") == 6


def test_video_outlives_the_gateway_that_it_was_watched_by(page: Page, service: WebService) -> None:
    card = ask_for_video(page, steps=60)
    preview_after(card, set())
    service.kill("gateway")
    expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    expect(page.locator("#connection-banner")).to_be_hidden()


def test_cancelled_video_says_so(page: Page) -> None:
    card = ask_for_video(page, steps=100)
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_attribute("data-state", "CANCELLED")
    expect(card).to_contain_text("Cancelled")
    card.get_by_role("button", name="Move to gallery").click()
    expect(card).to_have_count(0)
    expect(page.get_by_role("heading", name="Your videos")).to_be_focused()
    expect(page.get_by_role("button", name=f"Details of: {PROMPT}").first).to_be_visible()


def test_paused_video_goes_on_when_it_is_resumed(page: Page) -> None:
    card = ask_for_video(page, steps=60)
    card.get_by_role("button", name="Pause").click()
    expect(card).to_have_attribute("data-state", "PAUSED", timeout=VIDEO_MILLISECONDS)
    card.get_by_role("button", name="Resume").click()
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)


def test_error_of_the_server_stands_at_the_field_that_it_names(page: Page) -> None:
    prompt = page.get_by_label("What should it show?")
    prompt.fill("a" * 2001)
    page.get_by_role("button", name="Make video").click()
    expect(prompt).to_have_attribute("aria-invalid", "true")
    expect(prompt).to_be_focused()
    expect(prompt).to_have_accessible_description(re.compile("2,?000"))
    prompt.fill(PROMPT)
    expect(page.locator("#prompt-error")).to_be_hidden()


def test_wrong_value_among_hidden_options_is_brought_to_sight(page: Page) -> None:
    page.get_by_label("What should it show?").fill(PROMPT)
    page.get_by_text("More options").click()
    page.get_by_label("Steps").fill("1000")
    page.get_by_text("More options").click()
    expect(page.get_by_label("Steps")).to_be_hidden()
    page.get_by_role("button", name="Make video").click()
    expect(page.get_by_label("Steps")).to_be_focused()
    expect(page.get_by_label("Steps")).to_have_accessible_description(re.compile("1 to 100"))


def test_video_begins_with_a_picture_that_is_chosen(page: Page) -> None:
    page.get_by_label("First frame").set_input_files(picture("a.png", PNG))
    card = ask_for_video(page, steps=2)
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)


def test_file_that_is_no_picture_is_told_at_its_field(page: Page) -> None:
    image = page.get_by_label("First frame")
    image.set_input_files(picture("a.png", b"words"))
    page.get_by_label("What should it show?").fill(PROMPT)
    page.get_by_role("button", name="Make video").click()
    expect(image).to_have_accessible_description(re.compile("image/png"))
    expect(image).to_be_focused()


def test_gallery_has_pages_and_deletes(page: Page, service: WebService) -> None:
    while len(service.list()) <= PAGE_SIZE:
        service.make()
    pictures = page.locator(".gallery-cards .picture")
    page.reload()
    wait_until_all_are_in_the_gallery(page, service)
    expect(pictures).to_have_count(PAGE_SIZE)
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_text("Page 2", exact=True)).to_be_visible()
    expect(pictures).to_have_count(len(service.list()) - PAGE_SIZE)
    expect(page.get_by_role("button", name="Older")).to_be_disabled()
    page.get_by_role("button", name="Newer").click()
    expect(pictures).to_have_count(PAGE_SIZE)

    num_videos = len(service.list())
    pictures.first.click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#details")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#details")).to_be_hidden()
    assert len(service.list()) == num_videos - 1


def test_settings_of_a_video_are_used_again(page: Page, service: WebService) -> None:
    service.make(seed=1234, sampler="heun", guidance_scale=2.5, prompt="a blue star")
    page.reload()
    wait_until_all_are_in_the_gallery(page, service)
    page.get_by_role("button", name="Play: a blue star").click()
    page.get_by_role("button", name="Use settings again").click()
    expect(page.get_by_label("What should it show?")).to_have_value("a blue star")
    expect(page.get_by_label("What should it show?")).to_be_focused()
    expect(page.get_by_label("Seed")).to_have_value("1234")
    expect(page.get_by_label("Sampler")).to_have_value("heun")
    expect(page.get_by_label("Guidance")).to_have_value("2.5")


def test_several_videos_of_one_form_have_seeds_of_their_own(
    page: Page, service: WebService
) -> None:
    page.get_by_label("What should it show?").fill("a white square")
    page.get_by_label("Seconds").fill("0.1")
    page.get_by_text("More options").click()
    page.get_by_label("Steps").fill("1")
    page.get_by_label("Seed").fill("70")
    page.get_by_label("How many").fill("3")
    page.get_by_role("button", name="Make video").click()
    done = page.locator(".live-card[data-state=SUCCEEDED]")
    expect(done).to_have_count(3, timeout=VIDEO_MILLISECONDS)
    made = [video["seed"] for video in service.list() if video["prompt"] == "a white square"]
    assert made == [72, 71, 70]


def test_form_is_filled_and_sent_by_keyboard_alone(
    open_page: OpenPage, service: WebService
) -> None:
    page = open_page()
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(service.key)
    page.keyboard.press("Enter")
    expect(page.get_by_label("What should it show?")).to_be_focused()
    page.keyboard.type(PROMPT)
    reached = []
    while page.evaluate("document.activeElement.type") != "submit":
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.name || document.activeElement.tagName")
        )
    basic = ["input_reference", "seconds", "size", "fps"]
    assert reached == [*basic, "SUMMARY", "n", "BUTTON"]
    page.keyboard.press("Enter")
    card = page.locator(".live-card").first
    expect(card).to_be_visible()
    for _ in range(2):  # past Pause to Cancel
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(card).to_have_attribute("data-state", "CANCELLED")


def test_focus_stays_on_cancel_when_a_waiting_video_begins(page: Page) -> None:
    ask_for_video(page, steps=50)
    ahead = page.locator(".live-card").last
    waiting = ask_for_video(page, steps=50)
    expect(waiting).to_have_attribute("data-state", "QUEUED")
    cancel = waiting.get_by_role("button", name="Cancel")
    cancel.focus()
    ahead.get_by_role("button", name="Cancel").evaluate("button => button.click()")
    expect(waiting).to_have_attribute("data-state", "RUNNING")
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    expect(waiting).to_have_attribute("data-state", "CANCELLED")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible_and_fits_a_phone(
    open_page: OpenPage, service: WebService, scheme: str
) -> None:
    page = open_page(color_scheme=scheme, viewport=PHONE)

    def check() -> None:
        assert accessibility_problems(page) == []
        assert not has_sideways_scroll(page)

    expect(page.get_by_label("API key")).to_be_visible()
    check()
    page.get_by_label("API key").fill(service.key)
    page.keyboard.press("Enter")
    page.get_by_text("More options").click()
    page.get_by_role("button", name="Make video").click()
    expect(page.locator("#prompt-error")).to_be_visible()
    check()
    card = ask_for_video(page, steps=30)
    preview_after(card, set())
    check()
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    check()
    card.get_by_role("button", name="Make from it").click()
    for kind in ("Edit it", "Extend it"):
        page.get_by_label("What to do").select_option(kind)
        check()
    page.keyboard.press("Escape")
    page.get_by_label("First frame").set_input_files(picture("a.png", PNG))
    expect(page.get_by_alt_text("The picture chosen")).to_be_visible()
    check()
    card.get_by_role("button", name="Move to gallery").click()
    page.locator(".gallery-cards .picture").first.click()
    expect(page.locator("#details")).to_be_visible()
    check()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#question")).to_be_visible()
    check()


def test_who_prefers_less_motion_starts_videos_themselves(
    open_page: OpenPage, service: WebService
) -> None:
    page = open_page(key=service.key, reduced_motion="reduce")
    card = ask_for_video(page, steps=2)
    expect(card).to_have_attribute("data-state", "SUCCEEDED", timeout=VIDEO_MILLISECONDS)
    player = card.locator("video")
    expect(player).to_have_attribute("src", re.compile("^blob:"))
    assert player.evaluate("video => video.paused && !video.autoplay")


def test_card_says_that_a_video_waits_for_the_model_server(
    page: Page, service: WebService
) -> None:  # the last one: the service takes its time to be whole again
    card = ask_for_video(page, steps=60)
    preview_after(card, set())
    service.kill("triton")
    expect(card).to_contain_text("The model server is away", timeout=VIDEO_MILLISECONDS)
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_attribute("data-state", "CANCELLED")
    expect(card).not_to_contain_text("away")
