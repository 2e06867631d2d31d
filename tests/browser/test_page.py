"""The page, in a real browser."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.parts.browser import NewPage
from tests.parts.site_process import User


async def test_a_person_signs_in_and_sees_the_page(new_page: NewPage, user: User) -> None:
    page = await new_page()
    await page.goto("/")
    await page.locator("[name=username]").fill(user.name)
    await page.locator("[name=password]").fill(user.password)
    await page.locator("[name=password]").press("Enter")
    await page.wait_for_url(lambda url: "/accounts/login/" not in url)
    await expect(page.get_by_text(user.name).first).to_be_visible()


async def test_a_signed_in_page_needs_no_second_sign_in(page: Page) -> None:
    answer = await page.goto("/")
    assert answer
    assert answer.status == 200
    assert "/accounts/login/" not in page.url
