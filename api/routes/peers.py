"""Peers, for the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response, status

from api.context import Context
from api.dependencies import context_of, operator
from api.rest_schemas import IssuedPeer, NewPeer, OutboxView, PeerDetails, PeerView
from api.routes import examples
from api.routes.bodies import CONFLICT, NEEDS_CALLER, NEEDS_JSON, answer, documented_body, problem, raw_body
from api.services import peers
from api.services.reading import parsed
from optimizer.scenario_io.fields import ID_PATTERN

router = APIRouter(prefix="/v1/peers", tags=["Peers"], dependencies=[Depends(operator)], responses=NEEDS_CALLER)

NO_PEER = problem(404, "There is no such peer", "there is no peer '7d5c'")
PeerId = Annotated[
    str,
    Path(
        min_length=1, max_length=128, pattern=ID_PATTERN, description="Our id of the peer", examples=[examples.PEER_ID]
    ),
]
ContextOf = Annotated[Context, Depends(context_of)]


@router.post(
    "",
    operation_id="create_peer",
    summary="Let a peer in",
    status_code=status.HTTP_201_CREATED,
    response_model=IssuedPeer,
    response_description="Created; the token is shown this once",
    responses=answer(201, examples.ISSUED) | NEEDS_JSON | CONFLICT,
    openapi_extra=documented_body(
        NewPeer, {"Invite a peer": examples.INVITATION, "Register with a peer": examples.REGISTRATION}
    ),
)
async def create_peer(request: Request, context: ContextOf) -> IssuedPeer:
    """Invite a peer with a one-time TOKEN_A, or register with one whose URL and TOKEN_A you have."""
    new = parsed(NewPeer, await raw_body(request), {})
    return _issued(await peers.create(context, new), context)


@router.get(
    "",
    operation_id="list_peers",
    summary="List every peer",
    response_model=list[PeerView],
    response_description="In order of creation",
    responses=answer(200, [examples.PEER]),
)
async def list_peers(context: ContextOf) -> list[PeerView]:
    """Every peer with its state, profile, heartbeats and last error; no tokens."""
    return [PeerView.of(peer) for peer in await peers.everyone(context)]


@router.get(
    "/{peer_id}",
    operation_id="get_peer",
    summary="Look at a peer",
    response_model=PeerDetails,
    response_description="The peer and the newest messages to it",
    responses=answer(200, examples.PEER_DETAILS) | NO_PEER,
)
async def get_peer(peer_id: PeerId, context: ContextOf) -> PeerDetails:
    """A peer, and what became of the newest messages to it."""
    peer, outbox = await peers.one(context, peer_id)
    details = PeerDetails.of(peer)
    return details.model_copy(update={"outbox": [OutboxView.of(entry) for entry in outbox]})


@router.delete(
    "/{peer_id}",
    operation_id="revoke_peer",
    summary="Revoke a peer",
    status_code=status.HTTP_204_NO_CONTENT,
    response_description="No token of it is valid any more",
    responses=NO_PEER,
)
async def revoke_peer(peer_id: PeerId, context: ContextOf) -> Response:
    """End the registration at once; the peer is told so. Its sites stay. Again, it does nothing."""
    await peers.revoke(context, peer_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post(
    "/{peer_id}/token",
    operation_id="issue_token",
    summary="Issue a new token",
    status_code=status.HTTP_201_CREATED,
    response_model=IssuedPeer,
    response_description="The token is shown this once",
    responses=answer(201, examples.ISSUED) | NO_PEER | CONFLICT,
)
async def issue_token(peer_id: PeerId, context: ContextOf) -> IssuedPeer:
    """Invite a peer again: one that failed, was revoked, lost its token, or shall register anew."""
    return _issued(await peers.issue_token(context, peer_id), context)


@router.post(
    "/{peer_id}/register",
    operation_id="register_again",
    summary="Register with a peer again",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=PeerView,
    response_description="The registration is on its way; the peer's state tells how far it has come",
    responses=answer(202, examples.PEER) | NO_PEER | CONFLICT,
)
async def register_again(peer_id: PeerId, context: ContextOf) -> PeerView:
    """Replace the tokens of both sides by a registration that we start."""
    return PeerView.of(await peers.register_again(context, peer_id))


def _issued(issued: peers.Issued, context: Context) -> IssuedPeer:
    return IssuedPeer(peer_id=issued.peer_id, base_url=context.base_url, token=issued.token)
