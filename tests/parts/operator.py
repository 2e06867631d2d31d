"""An operator at the admin: presses the buttons of runs, over HTTP."""

from __future__ import annotations

import re

import httpx

from tests.parts.installation import Installation, User


class Operator:
    """A signed-in client of one of the site's doors. The caller closes it."""

    def __init__(self, site: Installation, user: User, *, origin: str = "") -> None:
        self._origin = origin or site.origin
        # A jar: what came of a click is in a cookie until the next page says it.
        cookies = dict(pair.split("=", 1) for pair in site.cookie(user).split("; "))
        self._client = httpx.Client(base_url=self._origin, cookies=cookies, trust_env=False, timeout=20)
        page = self._client.get("/accounts/password_change/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.status_code
        self._token = token[1]

    def press(self, action: str, run_id: str) -> str:
        """Press a run's button; returns what the next page says came of it."""
        answer = self.post(f"/admin/operations/runs/{run_id}/{action}/")
        assert answer.status_code == 302, answer.text[:500]
        page = self._client.get(answer.headers["Location"])
        assert page.status_code == 200, page.text[:500]
        said = re.findall(r'<li class="(?:success|warning)">([^<]*)</li>', page.text)
        assert len(said) == 1, said
        return str(said[0]).replace("&#x27;", "'")

    def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form."""
        return self._client.post(
            path, data={"csrfmiddlewaretoken": self._token, **form}, headers={"Origin": self._origin}
        )

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def close(self) -> None:
        self._client.close()
