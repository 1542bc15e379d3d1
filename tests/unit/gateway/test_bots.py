from __future__ import annotations

import pytest

from pipeline.gateway.bots import bot_reasons

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
PEOPLE = [
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
]
LIBRARIES = ["python-requests/2.32.3", "python-httpx/0.28.1", "Python/3.11 aiohttp/3.14.5", "curl/8.5.0", "Go-http-client/1.1", "axios/1.7"]
CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
]


@pytest.mark.parametrize("user_agent", [*PEOPLE, *LIBRARIES])
@pytest.mark.parametrize("is_page", [True, False])
def test_people_and_services_are_no_bots(user_agent: str, is_page: bool) -> None:
    """Browsers, and the libraries services send with."""
    assert bot_reasons(user_agent, is_page=is_page, webdriver=False) == []


@pytest.mark.parametrize("user_agent", CRAWLERS)
def test_crawlers_are_known_by_name(user_agent: str) -> None:
    """Search engines, assistants, previews and tools, as they call themselves."""
    assert bot_reasons(user_agent, is_page=True, webdriver=False) == ["crawler"]


@pytest.mark.parametrize("name", ["HeadlessChrome/131.0.0.0", "PhantomJS/2.1.1", "Chrome/131.0 Safari/537.36 Playwright/1.49.0"])
def test_driven_browsers_say_so(name: str) -> None:
    """By their name or by `navigator.webdriver`; both are told."""
    user_agent = f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) {name}"
    assert bot_reasons(user_agent, is_page=True, webdriver=False) == ["headless"]
    assert bot_reasons(user_agent, is_page=True, webdriver=True) == ["headless", "webdriver"]
    assert bot_reasons(CHROME, is_page=True, webdriver=True) == ["webdriver"]


@pytest.mark.parametrize("user_agent", [None, ""])
def test_only_a_page_must_have_a_user_agent(user_agent: str | None) -> None:
    """A service need not say what it is."""
    assert bot_reasons(user_agent, is_page=True, webdriver=False) == ["no_user_agent"]
    assert bot_reasons(user_agent, is_page=False, webdriver=False) == []


def test_a_huge_user_agent_is_looked_at_in_part() -> None:
    """What stands far behind is not searched for, and costs nothing."""
    assert bot_reasons("x" * 600 + "Googlebot/2.1", is_page=True, webdriver=False) == []
