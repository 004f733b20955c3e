"""Pages of other origins: none may ask unless the server names them."""

import httpx
import pytest

from kyvo.errors import ConfigError
from kyvo.serving.app import create_app
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

PAGE = "https://example.org"
ASK = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-os"}


@pytest.fixture(scope="module")
def model():
    """Of its own: the shared one runs in a server already."""
    return tiny_kyvo()


def headers_of(model, *, origins, path="/v1/models", method="GET", origin=PAGE, **headers):
    """Status and CORS headers of a browser's request."""
    app = create_app(model, name="tiny", origins=origins, api_key="secret")
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        answer = http.request(method, path, headers={"origin": origin, **headers})
    return answer.status_code, answer.headers.get("access-control-allow-origin"), answer.headers


@pytest.mark.parametrize("origins", [(), ["https://other.org"]])
def test_a_page_that_is_not_named_may_not_ask(model, origins):
    assert headers_of(model, origins=origins, authorization="Bearer secret")[:2] == (403, None)


@pytest.mark.parametrize(("origins", "allowed"), [([PAGE], PAGE), (["*"], "*")])
def test_a_named_origin_may_ask_and_hears_refusals_too(model, origins, allowed):
    assert headers_of(model, origins=origins, authorization="Bearer secret")[:2] == (200, allowed)
    assert headers_of(model, origins=origins)[:2] == (401, allowed)


def test_a_browser_asks_first_without_a_key(model):
    status, allowed, headers = headers_of(model, origins=[PAGE], path="/v1/chat/completions", method="OPTIONS", **ASK)
    assert (status, allowed) == (200, PAGE) and "x-stainless-os" in headers["access-control-allow-headers"]
    assert headers_of(model, origins=[PAGE], method="OPTIONS", origin="https://evil.org", **ASK)[0] == 400


@pytest.mark.parametrize("origin", ["https://example.org/", "example.org", "https://example.org/page", ""])
def test_what_is_no_origin_is_refused(model, origin):
    with pytest.raises(ConfigError, match="is no origin; give scheme, host and port alone"):
        create_app(model, name="tiny", origins=[origin])
