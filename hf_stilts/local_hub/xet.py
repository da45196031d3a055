"""Routes by which clients with `hf-xet` installed upload large files: they know no other way to.

The upload half of the public protocol, https://huggingface.co/docs/xet/api; downloads go through /resolve for everyone.
"""

from __future__ import annotations

import tempfile
import time
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hf_stilts.local_hub.http import Call, blocks, gathered, plain, store_body
from hf_stilts.local_hub.objects import HubError, check_sha256
from hf_stilts.local_hub.xorbs import files_in_shard

_XORB_LIMIT = 65 << 20  # bytes; the specification allows 64 MiB of content
_SHARD_LIMIT = 64 << 20
_HOURS = 12


def write_token(call: Call) -> Response:
    """GET /api/T/ID/xet-write-token/REV: where to upload, and with which token; here it is the caller's own."""
    call.repository(write=True)
    token = call.request.headers["authorization"].partition(" ")[2].strip()
    until, url = int(time.time()) + 3600 * _HOURS, f"{call.endpoint}/xet/{call.store.id}"
    # The id of the folder is in the address because clients remember, by address, which chunks need no second upload:
    # a new folder served on an old port must not be taken for the old one.
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(until)}
    return JSONResponse({"casUrl": url, "accessToken": token, "exp": until}, headers=headers)


async def xorb(request: Request) -> Response:
    """POST /v1/xorbs/default/HASH: packed chunks."""
    call = Call(request)
    call.member()
    name = check_sha256(call.params["hash"])
    incoming = await run_in_threadpool(call.store.objects.receive_xorb, name)
    if incoming is not None:
        await store_body(request, incoming, _XORB_LIMIT)
    return JSONResponse({"was_inserted": incoming is not None})


async def shard(request: Request) -> Response:
    """POST /v1/shards: which chunks make which files. When this is answered, the files are here and verified."""
    call = Call(request)
    call.member()

    def keep(body: IO[bytes]) -> None:
        body.seek(0)
        try:
            files = list(files_in_shard(body.read()))
        except ValueError as error:
            raise HubError(400, f"the body is no shard: {error}") from None
        call.store.objects.keep_files(files)

    # Unpacking takes long, and memory: a few at a time, so that threads are left for everybody else.
    with tempfile.TemporaryFile(dir=call.store.objects.incoming) as body:
        async for block in gathered(blocks(request, _SHARD_LIMIT)):
            await run_in_threadpool(body.write, block)
        async with request.app.state.unpacking:
            await run_in_threadpool(keep, body)
    return JSONResponse({"result": 1})


ROUTES = [
    Route("/api/{kind:hub_kind}/{namespace}/{name}/xet-write-token/{revision}", plain(write_token), methods=["GET"]),
    Route("/xet/{store}/v1/xorbs/default/{hash}", xorb, methods=["POST"]),
    Route("/xet/{store}/v1/shards", shard, methods=["POST"]),
]
