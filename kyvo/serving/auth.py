"""Authentication: requests need the key, where there is one; a server of this machine alone, its own name as host.

A page of another site can have a browser send requests here, and a name that its owner points at 127.0.0.1 makes them
look like ones of the same site. The host that a request names tells the two apart. Browsers name the page that a
request comes from as its origin: one of another site, or of another port of this machine, is refused.
"""

import hmac
from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse

from kyvo.serving.errors import error_body

OPEN = ("/health",)  # for whoever watches the server


class Auth:
    """ASGI middleware."""

    def __init__(
        self, app: Any, *, api_key: str | None, hosts: Sequence[str] | None, origins: Sequence[str] = ()
    ) -> None:
        """
        Args:
            hosts: the names a request may give the server, without ports; None for any.
            origins: of pages of other sites that may ask; "*" for all.
        """
        self.app = app
        self.api_key = api_key.encode() if api_key else None
        self.hosts = hosts
        self.origins = tuple(origin.encode() for origin in origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            refusal = self._refusal(scope)
            if refusal is not None and scope["type"] == "http":
                await refusal(scope, receive, send)
                return
            if refusal is not None:
                await send({"type": "websocket.close", "code": 1008})
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Any) -> JSONResponse | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0]
        if self.hosts is not None and host not in self.hosts:
            return JSONResponse(error_body(403, f"this server is called {self.hosts[0]}; open it by that name."), 403)
        if self.hosts is not None and not self._may_ask(headers.get(b"origin"), headers.get(b"host")):
            return JSONResponse(error_body(403, "the request comes from a page of another site."), 403)
        if self.api_key is None or scope["path"] in OPEN:
            return None
        kind, _, key = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(key.strip(), self.api_key):
            return None
        reason = "an API key is needed: Authorization: Bearer KEY." if not key else "the API key is not the server's."
        return JSONResponse(error_body(401, reason), 401, {"WWW-Authenticate": "Bearer"})

    def _may_ask(self, origin: bytes | None, host: bytes | None) -> bool:
        """Whether a page of this origin may; programs name none."""
        if origin is None or origin.partition(b"://")[2] == host:
            return True
        return origin in self.origins or b"*" in self.origins
