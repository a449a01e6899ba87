"""Who gets in, with what, and for how long."""

import pytest
from playwright.async_api import expect

from tests.conftest import Person
from tests.web.browsing.stage import Visitor
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def by_the_form(visitor: Visitor, token: str) -> None:
    await visitor.opens()
    await visitor.is_at_sign_in()
    await visitor.page.get_by_label("Token").fill(token)
    await visitor.page.get_by_role("button", name="Sign in").click()


async def test_the_link_of_a_local_start_signs_in_once(web: Web, stranger: Visitor) -> None:
    link = web.told.split()[-1]
    await stranger.page.goto(link)
    await expect(stranger.page).to_have_url(f"{web.base}/")
    await stranger.sees(".who", "admin")
    await stranger.context.clear_cookies()
    await stranger.page.goto(link)
    await stranger.sees("#failed", "opens nothing")
    # So that it is not sent again when the page is loaded again.
    await stranger.is_at_sign_in()
    await stranger.opens()
    await stranger.is_at_sign_in()


async def test_a_token_signs_in_by_the_form(web: Web, stranger: Visitor) -> None:
    await by_the_form(stranger, await web.token("operator", "olga"))
    await expect(stranger.page).to_have_url(f"{web.base}/")
    await stranger.sees(".who", "olga, operator")


async def test_a_wrong_token_is_told_where_it_is_typed(stranger: Visitor) -> None:
    await by_the_form(stranger, "baton_wrong")
    await stranger.sees("[role=alert]", "opens nothing")
    await stranger.has_focus("#token")
    await expect(stranger.at("#token")).to_have_accessible_description(
        "That opens nothing: it was revoked or used up, or mistyped. Ask for a new token, or take"
        " the link that the newest start printed."
    )


async def test_signing_out_closes_every_page(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    other = await ana.another_tab()
    await other.opens_run(run_id)
    await ana.opens()
    await ana.page.get_by_role("button", name="Sign out").click()
    await ana.is_at_sign_in()
    await ben.says(f"/resume {run_id}")
    await other.is_at_sign_in()


async def test_a_revoked_token_closes_its_open_page(web: Web, ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run slow")
    await ana.opens_run(run_id)
    await ana.sees("#log", "waiting")
    await web.revoke(ana.name)
    await ana.is_at_sign_in()


async def test_a_click_after_a_revocation_does_nothing(
    web: Web, plain: Visitor, ben: Person
) -> None:
    """Without scripts, since with them the page is closed before anybody could click."""
    run_id = await ben.starts("/run failing")
    await ben.sees_status(run_id, "failed")
    await plain.opens_run(run_id)
    await expect(plain.at("#resume")).to_be_visible()
    await web.revoke(plain.name)
    await plain.at("#resume").click()
    await plain.is_at_sign_in()
    assert (await web.run(run_id)).epoch == 1


async def test_a_viewer_looks_and_has_nothing_to_click(
    web: Web, stranger: Visitor, ben: Person
) -> None:
    await stranger.takes_session(web, "viewer")
    run_id = await ben.starts("/run gated")
    await stranger.opens()
    await stranger.sees("#live", run_id)
    await stranger.misses(".start")
    await stranger.opens_run(run_id)
    await stranger.sees("#state", "Go?")
    await expect(stranger.page.get_by_role("button")).to_have_text(["Sign out"])
    await ben.says(f"/resume {run_id}")
    await stranger.sees("#state", "Sure?")
