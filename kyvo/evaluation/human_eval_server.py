"""The page of a blind ranking, served to this machine alone by Python's own HTTP server.

    GET  /                                   the page
    GET  /state?rater=NAME                   how many items and pictures, and what NAME has given, as NAME sees it
    GET  /picture?rater=NAME&item=I&place=P  what NAME sees for item I: the truth (P is "truth") or the P-th picture
    POST /rating                             {rater, item, scores, ranks}, lists in the order shown

Nothing sent names a model: pictures are drawn anew from their pixels, so that no file name or metadata goes along.
"""

import json
import threading
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kyvo.errors import ConfigError, KyvoError
from kyvo.evaluation.human_eval import TRUTH, Study, check_rater, load_ratings, read_rating, save_rating
from kyvo.evaluation.human_eval_pictures import shown_png
from kyvo.evaluation.report import fill_page

MAX_BODY = 64 * 1024  # bytes of a rating


def make_server(folder: Path, study: Study, *, port: int = 0) -> ThreadingHTTPServer:
    """A server of the study's page on 127.0.0.1; port 0 takes a free one. `serve_forever()` runs it.

    Raises ConfigError where the port is taken.
    """
    lock = threading.Lock()  # a rater's file is read, changed and written: one request at a time

    @lru_cache(maxsize=256)
    def picture(item: str, name: str) -> bytes:
        return shown_png(study.path(item, name), study.path(item, TRUTH))

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "kyvo", ""
        timeout = 30  # seconds without a byte

        def do_GET(self) -> None:
            self._answer(self._get)

        def do_POST(self) -> None:
            self._answer(self._post)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: the terminal is the user's."""

        def _get(self) -> tuple[str, bytes]:
            address = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(address.query).items()}
            if address.path == "/":
                return "text/html; charset=utf-8", fill_page("human_eval.html").encode()
            if address.path == "/state":
                rater = check_rater(query.get("rater"))
                with lock:
                    return "application/json", json.dumps(_state(folder, study, rater)).encode()
            if address.path == "/picture":
                return "image/png", picture(*_shown(study, query))
            raise _Refusal(HTTPStatus.NOT_FOUND, f"nothing is at {address.path}; the page is at /.")

        def _post(self) -> tuple[str, bytes]:
            if urlsplit(self.path).path != "/rating":
                raise _Refusal(HTTPStatus.NOT_FOUND, "ratings go to /rating.")
            if self.headers.get_content_type() != "application/json":  # another site's form cannot send this
                raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "application/json is needed.")
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed.")
            if int(length) > MAX_BODY:
                raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes; at most {MAX_BODY} are taken.")
            try:
                data = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"the body is not JSON ({error}).") from error
            rater, item, rating = read_rating(data, study)
            with lock:
                done = save_rating(folder, study, rater, item, rating)
            return "application/json", json.dumps({"done": done}).encode()

        def _answer(self, respond: Any) -> None:
            status, kind = HTTPStatus.OK, "application/json"
            try:
                hosts = [f"{name}:{server.server_port}" for name in ("127.0.0.1", "localhost")]
                if self.headers.get("Host") not in hosts:  # a site whose name leads here could read the answers
                    raise _Refusal(HTTPStatus.FORBIDDEN, f"open http://{hosts[0]} instead.")
                kind, body = respond()
            except _Refusal as refusal:
                status, body = refusal.status, json.dumps({"error": str(refusal)}).encode()
                self.close_connection = True  # the body may not have been read
            except KyvoError as error:
                status, body = HTTPStatus.BAD_REQUEST, json.dumps({"error": str(error)}).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Security-Policy", _POLICY)
            self.end_headers()
            self.wfile.write(body)

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} of 127.0.0.1 cannot be had ({error}). Name another, or 0 for any.") from error
    return server


_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class _Refusal(Exception):
    """A request that is answered with this status and reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _state(folder: Path, study: Study, rater: str) -> dict[str, Any]:
    ratings = load_ratings(folder, study, rater)
    given: list[Any] = []
    for item in study.items:
        row, order = ratings.get(item), study.order(rater, item)
        given.append(row and {key: [row[key][name] for name in order] for key in ("scores", "ranks")})
    return {"items": len(study.items), "pictures": len(study.models), "given": given}


def _shown(study: Study, query: dict[str, str]) -> tuple[str, str]:
    """Item, and the truth or the model that this person sees at this place."""
    rater = check_rater(query.get("rater"))
    number, place = query.get("item", ""), query.get("place", "")
    if not number.isdecimal() or int(number) >= len(study.items):
        raise _Refusal(HTTPStatus.NOT_FOUND, f"item {number!r} does not exist; there are {len(study.items)}.")
    item = study.items[int(number)]
    if place == TRUTH:
        return item, TRUTH
    if not place.isdecimal() or int(place) >= len(study.models):
        raise _Refusal(HTTPStatus.NOT_FOUND, f"place {place!r} does not exist; there are {len(study.models)}.")
    return item, study.order(rater, item)[int(place)]
