"""Requests that stop half-way: the embedded Hub closes their connections instead of holding them for ever."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

from hf_stilts.local_hub.objects import HubError

SECONDS = 60.0  # for the whole head of a request, and between two parts of its body


class TimedProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection on which no whole head of a request came in time, however slowly it drips.

    uvicorn itself only times the silence after an answer.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the head is whole; begin again where the next one comes in part."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def timed(receive: Receive) -> Receive:
    """The same messages of a request; HubError 408 where the next part of the body does not come in time."""
    whole = False

    async def receive_in_time() -> Message:
        nonlocal whole
        if whole:  # what comes now is the end of the connection, which may take as long as the answer does
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), SECONDS)
        except asyncio.TimeoutError:
            raise HubError(408, f"no part of the body came for {SECONDS:g} seconds: send it again") from None
        whole = not message.get("more_body", False)
        return message

    return receive_in_time
