"""The page that people look at, what it asks for, and who may look."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, status
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from api.context import Context
from api.dependencies import context_of
from api.monitor.messages import body_view, log_view, outbox_view, peers_view
from api.monitor.sign_in import (
    MAX_KEY,
    Attempts,
    SignInRefusedError,
    TooManyAttemptsError,
    Viewer,
    sign_in,
    sign_out,
    viewer_of,
)
from api.monitor.views import Views
from api.monitor.watch import Watcher
from api.monitor.what_if import WhatIf, what_if_view
from api.routes.bodies import raw_body
from api.routes.optimize import optimizations_of
from api.services.advice import AdviceRequest, site_advice
from api.services.optimization import BusyError
from api.services.reading import parsed
from models.errors import SolverError
from optimizer.advice import LEAST_VALUE_PER_KWH
from optimizer.scenario_io.fields import ID_PATTERN

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PRIVATE = SAFE | {"Cache-Control": "no-store"}
PAGE_HEADER = "X-Page"
"""On what changes something: no form and no link of another site can send it."""
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SHOWN_ADVICE = AdviceRequest(blocks=None, hand_back=True, least_value_per_kwh=LEAST_VALUE_PER_KWH)
MAX_STREAMS = 500
"""Of one server process."""

router = APIRouter(include_in_schema=False)

ContextOf = Annotated[Context, Depends(context_of)]
SiteOf = Annotated[str, Query(alias="site", min_length=1, max_length=128, pattern=ID_PATTERN)]
GroupOf = Annotated[str | None, Query(alias="group", min_length=1, max_length=128, pattern=ID_PATTERN)]


class _Key(BaseModel):
    # What is sent is a secret: no error shows it.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    key: str = Field(min_length=1, max_length=MAX_KEY, pattern=r"^[\x20-\x7e]+$")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file for the browser."""

    content: bytes
    kind: str
    tag: str


class PageState:
    """What the page keeps in one server process.

    Args:
        context: What the parts of the server share.
    """

    def __init__(self, context: Context) -> None:
        self.views = Views(context)
        self.watcher = Watcher(context)
        self.attempts = Attempts()
        self.streams = 0
        self._assets: Mapping[str, Asset] | None = None

    @property
    def assets(self) -> Mapping[str, Asset]:
        """The files for the browser, by name."""
        if self._assets is None:
            self._assets = _assets()
        return self._assets


async def page_state(request: Request) -> PageState:
    """What the page keeps in this server process."""
    state: PageState = request.app.state.page
    return state


async def viewer(request: Request, context: ContextOf) -> Viewer:
    """Who is signed in.

    Raises:
        HTTPException: 401 where nobody is.
    """
    cookie = _cookie(request)
    found = await viewer_of(context, cookie) if cookie else None
    if found is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "sign in first", PRIVATE)
    return found


async def from_page(request: Request) -> None:
    """Let pass what our own page sent.

    Raises:
        HTTPException: 403 where another site may have made the browser send it.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if PAGE_HEADER not in request.headers or site not in ("same-origin", "none"):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "only the page itself may send this", PRIVATE)


StateOf = Annotated[PageState, Depends(page_state)]
ViewerOf = Annotated[Viewer, Depends(viewer)]
FromPage = Depends(from_page)


@router.get("/")
async def index(request: Request, state: StateOf) -> Response:
    """The page; it shows nothing before somebody signs in."""
    return _asset_response(request, state.assets["index.html"])


@router.get("/page/static/{name}")
async def static(name: str, request: Request, state: StateOf) -> Response:
    """A file of the page."""
    asset = state.assets.get(name)
    if asset is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is nothing at {request.url.path}")
    return _asset_response(request, asset)


@router.post("/page/sign-in", dependencies=[FromPage])
async def post_sign_in(request: Request, context: ContextOf, state: StateOf) -> Response:
    """Exchange a key for a cookie."""
    address = request.client.host if request.client else ""
    try:
        state.attempts.require_room(address)
        given = parsed(_Key, await raw_body(request), {})
        cookie, found = await sign_in(context, given.key.strip())
    except TooManyAttemptsError as error:
        headers = PRIVATE | {"Retry-After": str(round(error.wait_s) + 1)}
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, str(error), headers) from error
    except SignInRefusedError as error:
        state.attempts.failed(address)
        raise HTTPException(status.HTTP_403_FORBIDDEN, str(error), PRIVATE) from error
    response = JSONResponse(_who(found), headers=PRIVATE)
    _set_cookie(response, request, context, cookie)
    return response


@router.post("/page/sign-out", dependencies=[FromPage])
async def post_sign_out(request: Request, context: ContextOf) -> Response:
    """Give the cookie back."""
    if cookie := _cookie(request):
        await sign_out(context, cookie)
    response = Response(status_code=status.HTTP_204_NO_CONTENT, headers=PRIVATE)
    name, secure = _cookie_name(request, context)
    response.delete_cookie(name, secure=secure, httponly=True, samesite="strict")
    return response


@router.get("/page/me")
async def me(request: Request, context: ContextOf) -> Response:
    """Who is signed in, if anybody; the cookie lasts longer from here."""
    cookie = _cookie(request)
    found = await viewer_of(context, cookie) if cookie else None
    if cookie is None or found is None:
        return JSONResponse({"name": None, "is_operator": False}, headers=PRIVATE)
    response = JSONResponse(_who(found), headers=PRIVATE)
    _set_cookie(response, request, context, cookie)
    return response


@router.get("/page/overview")
async def overview(found: ViewerOf, state: StateOf) -> Response:
    """Every site at a glance."""
    return JSONResponse(await state.views.overview(found), headers=PRIVATE)


@router.get("/page/site")
async def site(found: ViewerOf, state: StateOf, site_id: SiteOf, group_id: GroupOf = None) -> Response:
    """A site with one of its groups in full."""
    return JSONResponse(await state.views.site(found, site_id, group_id), headers=PRIVATE)


@router.post("/page/what-if", dependencies=[FromPage])
async def what_if(request: Request, found: ViewerOf, context: ContextOf, state: StateOf, site_id: SiteOf) -> Response:
    """What the plan would be; nothing is stored or sent."""
    what = parsed(WhatIf, await raw_body(request), {})
    optimizations = optimizations_of(request, context)
    try:
        answer = await what_if_view(context, state.views, optimizations, found, site_id, what)
    except BusyError as error:
        raise _busy(error) from error
    return JSONResponse(answer, headers=PRIVATE)


@router.get("/page/advice")
async def advice(request: Request, found: ViewerOf, context: ContextOf, site_id: SiteOf) -> Response:
    """What another capacity of a site's groups is worth; nothing is stored or sent."""
    optimizations = optimizations_of(request, context)
    try:
        answer = await site_advice(context, optimizations, site_id, found.peer_id, SHOWN_ADVICE)
    except (BusyError, SolverError) as error:
        raise _busy(error) from error
    return JSONResponse(answer.model_dump(mode="json"), headers=PRIVATE)


@router.get("/page/peers")
async def peers(found: ViewerOf, context: ContextOf) -> Response:
    """Peers and their heartbeats."""
    return JSONResponse(await peers_view(context, found), headers=PRIVATE)


@router.get("/page/log")
async def log(
    found: ViewerOf,
    context: ContextOf,
    peer: Annotated[str | None, Query(min_length=1, max_length=128, pattern=ID_PATTERN)] = None,
) -> Response:
    """The newest messages."""
    return JSONResponse(await log_view(context, found, peer), headers=PRIVATE)


@router.get("/page/outbox")
async def outbox(found: ViewerOf, context: ContextOf) -> Response:
    """What waits to go out, and what became of the rest."""
    return JSONResponse(await outbox_view(context, found), headers=PRIVATE)


@router.get("/page/message")
async def message(
    found: ViewerOf, context: ContextOf, key: Annotated[str, Query(min_length=1, max_length=160)]
) -> Response:
    """One message in full."""
    return JSONResponse(await body_view(context, found, key), headers=PRIVATE)


async def stream_place(state: StateOf) -> AsyncIterator[None]:
    """A place among those who watch.

    Raises:
        HTTPException: 503 where all are taken.
    """
    if state.streams >= MAX_STREAMS:
        headers = PRIVATE | {"Retry-After": "30"}
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, f"{MAX_STREAMS} pages watch already", headers)
    state.streams += 1
    try:
        yield
    finally:
        state.streams -= 1


@router.get("/page/events", response_class=EventSourceResponse, dependencies=[Depends(stream_place)])
async def events(request: Request, found: ViewerOf, state: StateOf) -> AsyncIterator[ServerSentEvent]:
    """What has changed, as soon as it has."""
    async for change in state.watcher.changes(found, _cookie(request) or ""):
        yield ServerSentEvent(data=change, event="change", retry=2_000)


def _busy(error: Exception) -> HTTPException:
    headers = PRIVATE | {"Retry-After": "5"}
    return HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, f"{error}; ask again in 5 s", headers)


def _who(found: Viewer) -> dict[str, object]:
    return {"name": found.name, "is_operator": found.peer_id is None}


def _is_secure(request: Request, context: Context) -> bool:
    public = context.settings.public_url or ""
    return request.url.scheme == "https" or public.lower().startswith("https://")


def _cookie_name(request: Request, context: Context) -> tuple[str, bool]:
    secure = _is_secure(request, context)
    # A browser takes the prefix from https only, and then from no other host and path.
    return ("__Host-oscp-page" if secure else "oscp-page"), secure


def _cookie(request: Request) -> str | None:
    return request.cookies.get(_cookie_name(request, request.app.state.context)[0])


def _set_cookie(response: Response, request: Request, context: Context, cookie: str) -> None:
    name, secure = _cookie_name(request, context)
    lifetime_s = round(context.settings.sign_in_hours * 3600)
    response.set_cookie(name, cookie, max_age=lifetime_s, httponly=True, secure=secure, samesite="strict")


def _asset_response(request: Request, asset: Asset) -> Response:
    headers = SAFE | {"ETag": asset.tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == asset.tag:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.kind)


def _assets() -> dict[str, Asset]:
    assets = {}
    for file in resources.files("api.page").iterdir():
        kind = KINDS.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            content = file.read_bytes()
            assets[file.name] = Asset(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return assets
