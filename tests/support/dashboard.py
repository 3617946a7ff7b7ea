"""The dashboard as a browser without JavaScript has it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from support.html import read_html
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.html import Element
    from support.local_api import Api


@dataclass
class Dashboard:
    """Somebody who is signed in; paths are those below `/connect`."""

    url: str
    client: httpx2.Client

    def get(self, path: str, status: int = 200) -> Element:
        """Return a page that must be answered with this status."""
        answer = self.client.get(f"{self.url}/connect{path}")
        assert answer.status_code == status, answer.text
        return read_html(answer.text)

    def send(self, form: Element, status: int = 200, **changed: str) -> Element:
        """Send a form of a page as a browser would, and return the page that follows."""
        fields = {each["name"]: each.get("value") for each in form.all("input") if each.get("name")}
        answer = self.client.request(
            form.get("method") or "GET",
            self.url + form["action"],
            data=fields | changed,
            headers={"Origin": self.url, "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == status, answer.text
        return read_html(answer.text)

    def press(self, page: Element, text: str, status: int = 200, **changed: str) -> Element:
        """Press the button of that text."""
        form = next(
            form
            for form in page.all("form")
            if any(" ".join(button.text.split()) == text for button in form.all("button"))
        )
        return self.send(form, status, **changed)


@contextmanager
def signed_in(api: Api) -> Iterator[Dashboard]:
    """Sign in by a one-time URL."""
    url = api.ask("POST", "__local__/login", json={})["url"]
    with httpx2.Client(trust_env=False, timeout=PATIENCE, follow_redirects=True) as client:
        assert client.get(url).status_code == 200
        yield Dashboard(api.server.url, client)
