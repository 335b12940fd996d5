"""The client of the Python library websockets against the application of t/websocket/clients.t."""

import asyncio
import sys

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL = f"ws://127.0.0.1:{sys.argv[1]}"
LONG = "The same sentence, again and again. " * 2000


def say(name, is_fine):
    print(("ok " if is_fine else "not ok ") + name, flush=True)


async def echo(name, **options):
    async with websockets.connect(URL + "/echo", max_size=None, **options) as socket:
        messages = ["hello", "grüß 日本 🐪", "", b"\x00\x01\xfe\xff", b"", LONG, LONG.encode()]
        for message in messages:
            await socket.send(message)
        received = [await socket.recv() for _ in messages]
        say(f"{name}: {len(messages)} messages come back", received == messages)
        await socket.send(["in ", "three ", "parts"])
        say(f"{name}: fragments", await socket.recv() == "in three parts")
        await asyncio.wait_for(await socket.ping(), 5)
        say(f"{name}: a pong", True)
        await socket.close(4001, "tschüß")
    say(f"{name}: closed", (socket.close_code, socket.close_reason) == (4001, "tschüß"))


async def closed_by_server():
    async with websockets.connect(URL + "/close") as socket:
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            say("closed by the server", (closed.rcvd.code, closed.rcvd.reason) == (4321, "genug"))


async def pings():
    async with websockets.connect(URL + "/keepalive") as socket:
        say("kept alive", await asyncio.wait_for(socket.recv(), 5) == "still here")


async def subprotocol():
    async with websockets.connect(URL + "/chosen", subprotocols=["one", "two"]) as socket:
        say("subprotocol", socket.subprotocol == "two")


async def denied(path, status, body):
    try:
        async with websockets.connect(URL + path):
            say(f"denied {path}", False)
    except InvalidStatus as refusal:
        response = refusal.response
        say(f"denied {path}", (response.status_code, bytes(response.body)) == (status, body))


async def crowd():
    async def one(number):
        async with websockets.connect(URL + "/echo") as socket:
            for round in range(20):
                await socket.send(f"{number} {round}")
                if await socket.recv() != f"{number} {round}":
                    return False
        return True

    say("a crowd", all(await asyncio.gather(*[one(number) for number in range(50)])))


async def main():
    await echo("plain", compression=None)
    await echo("compressed")
    await closed_by_server()
    await pings()
    await subprotocol()
    await denied("/forbidden", 403, b"Forbidden")
    await denied("/denied", 401, b'{"error":"who are you?"}')
    await crowd()


asyncio.run(main())
