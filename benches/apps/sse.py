"""The ASGI application that sse.pl is for PAGI: streaming responses."""

import asyncio
import time

sends = {}
publishers = {}


async def publish(path, pause):
    while sends[path]:
        await asyncio.sleep(pause)
        now = str(time.time_ns() // 1000)
        data = (now + " " + "x" * (199 - len(now))).encode()
        event = {
            "type": "http.response.body",
            "body": b"data: " + data + b"\n\n",
            "more_body": True,
        }
        for send in list(sends[path].values()):
            try:
                await send(event)
            except Exception:
                pass


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    path = scope["path"]
    start = {"type": "http.response.start", "status": 200}
    if not path.startswith("/s/"):
        await send(start | {"headers": [(b"content-length", b"13")]})
        await send({"type": "http.response.body", "body": b"Hello, World!"})
        return
    await receive()
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send(start | {"headers": headers})
    # Some servers hold the head back until there is a body.
    await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
    key = object()
    sends.setdefault(path, {})[key] = send
    if path != "/s/idle" and (path not in publishers or publishers[path].done()):
        publishers[path] = asyncio.ensure_future(publish(path, 0.1 if path == "/s/paced" else 0))
    while (await receive())["type"] != "http.disconnect":
        pass
    del sends[path][key]
