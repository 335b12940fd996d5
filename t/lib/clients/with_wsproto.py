"""The Python library wsproto, which knows no sockets, against the application of
t/websocket/clients.t."""

import socket
import sys

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate


def say(name, is_fine):
    print(("ok " if is_fine else "not ok ") + name, flush=True)


class Client:
    def __init__(self, target, **options):
        self.socket = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.send(Request(host="test", target=target, **options))

    def send(self, *events):
        self.socket.sendall(b"".join(self.protocol.send(event) for event in events))

    def events(self):
        while True:
            yield from self.protocol.events()
            data = self.socket.recv(65536)
            self.protocol.receive_data(data or None)

    def expect(self, kind):
        for event in self.events():
            if isinstance(event, kind):
                if getattr(event, "message_finished", True):
                    return event
                self.parts.append(event.data)

    def message(self, kind, empty):
        self.parts = []
        last = self.expect(kind)
        return empty.join(self.parts + [last.data])


def echo(name, extensions):
    client = Client("/echo", extensions=extensions)
    accepted = client.expect(AcceptConnection)
    say(f"{name}: accepted", len(accepted.extensions) == len(extensions))
    for text in ["hello", "grüß 日本 🐪", "abc" * 30000]:
        client.send(TextMessage(data=text))
        say(f"{name}: {len(text)} characters", client.message(TextMessage, "") == text)
    blob = bytes(range(256)) * 200
    client.send(BytesMessage(data=blob[:100], message_finished=False))
    client.send(Ping(payload=b"between"))
    client.send(BytesMessage(data=blob[100:]))
    say(f"{name}: a pong", client.expect(Pong).payload == b"between")
    say(f"{name}: bytes in fragments", client.message(BytesMessage, b"") == blob)
    client.send(CloseConnection(code=3000, reason="over"))
    closed = client.expect(CloseConnection)
    say(f"{name}: closed", (closed.code, closed.reason) == (3000, "over"))


echo("plain", [])
echo("compressed", [PerMessageDeflate()])
client = Client("/close")
client.expect(AcceptConnection)
closed = client.expect(CloseConnection)
say("closed by the server", (closed.code, closed.reason) == (4321, "genug"))
say("rejected", Client("/forbidden").expect(RejectConnection).status_code == 403)
