"""The ASGI application that multiplexed.pl is for PAGI."""

import asyncio
import os

BODY = {"/": b"Hello, World!", "/large": b"x" * 65536}
STREAMS = int(os.environ["BENCH_STREAMS"])
EVENTS = int(os.environ["BENCH_EVENTS"])
EVENT = b"data: " + b"x" * 199 + b"\n\n"
waiting = []


async def events(send):
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # Some servers hold the head back until there is a body.
    await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
    begun = asyncio.get_running_loop().create_future()
    waiting.append(begun)
    if len(waiting) == STREAMS:
        for other in waiting:
            other.set_result(None)
        waiting.clear()
    await begun
    event = {"type": "http.response.body", "body": EVENT, "more_body": True}
    for _ in range(EVENTS):
        await send(event)
    await send({"type": "http.response.body", "body": b""})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    if scope["path"] == "/events":
        return await events(send)
    body = BODY[scope["path"]]
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
