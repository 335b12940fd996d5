"""The Python libraries h2 and wsproto, which know no sockets, against the application of
t/h2/clients.t: tunnels (RFC 8441) and ordinary requests on one connection."""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

SCHEME, PORT = sys.argv[1], int(sys.argv[2])


def say(name, is_fine):
    print(("ok " if is_fine else "not ok ") + name, flush=True)


class Client:
    """One connection, and what came on its streams."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT), 10)
        if SCHEME == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.protocol = h2.connection.H2Connection(config)
        self.protocol.initiate_connection()
        self.headers, self.data, self.ended, self.waiting = {}, {}, set(), {}
        self.wait(lambda: self.remote(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1)

    def remote(self, code):
        return self.protocol.remote_settings.get(code)

    def flush(self):
        for stream in list(self.waiting):
            self.write(stream)
        self.socket.sendall(self.protocol.data_to_send())

    def wait(self, is_there):
        self.flush()
        while not is_there():
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit("the server closed the connection")
            for event in self.protocol.receive_data(data):
                self.heed(event)
            self.flush()

    def heed(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.ResponseReceived):
            self.headers[stream] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.data[stream] = self.data.get(stream, b"") + event.data
            self.protocol.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(stream)
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            raise SystemExit(f"not expected: {event}")

    def open(self, *fields, **options):
        stream = self.protocol.get_next_available_stream_id()
        start = [(":scheme", SCHEME), (":authority", "test")]
        self.protocol.send_headers(stream, [fields[0], *start, *fields[1:]], **options)
        return stream

    def send(self, stream, data, end=False):
        """Sends as the windows allow."""
        before, _ = self.waiting.get(stream, (b"", False))
        self.waiting[stream] = (before + data, end)

    def write(self, stream):
        data, end = self.waiting.pop(stream)
        while data:
            size = min(
                self.protocol.local_flow_control_window(stream),
                self.protocol.max_outbound_frame_size,
                len(data),
            )
            if size == 0:
                self.waiting[stream] = (data, end)
                return
            self.protocol.send_data(stream, data[:size])
            data = data[size:]
        if end:
            self.protocol.end_stream(stream)

    def request(self, method, path, body=b""):
        stream = self.open((":method", method), (":path", path), end_stream=not body)
        if body:
            self.send(stream, body, end=True)
        return stream

    def response(self, stream):
        self.wait(lambda: stream in self.ended)
        return self.headers[stream][":status"], self.data.get(stream, b"")


class Tunnel:
    """A WebSocket on one stream."""

    def __init__(self, client, extension=None, path="/echo"):
        self.client, self.extension, self.seen, self.events = client, extension, 0, []
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":path", path)]
        fields.append(("sec-websocket-version", "13"))
        if extension:
            offer = f"{extension.name}; {extension.offer()}".rstrip("; ")
            fields.append(("sec-websocket-extensions", offer))
        self.stream = client.open(*fields)

    def accepted(self):
        self.client.wait(lambda: self.stream in self.client.headers)
        headers = self.client.headers[self.stream]
        extensions = []
        if self.extension:
            self.extension.finalize(headers.get("sec-websocket-extensions", ""))
            extensions.append(self.extension)
        self.socket = Connection(ConnectionType.CLIENT, extensions)
        return headers[":status"] == "200"

    def send(self, *events):
        for event in events:
            self.client.send(self.stream, self.socket.send(event))

    def take(self):
        data = self.client.data.get(self.stream, b"")
        self.socket.receive_data(data[self.seen :])
        self.seen = len(data)
        self.events.extend(self.socket.events())

    def next(self, kind):
        """The next message or control frame of a kind, put together."""
        parts = []

        def is_there():
            self.take()
            while self.events:
                event = self.events.pop(0)
                if not isinstance(event, kind):
                    continue
                parts.append(event)
                if getattr(event, "message_finished", True):
                    return True
            return False

        self.client.wait(is_there)
        if hasattr(parts[0], "data"):
            return parts[0].data[:0].join(part.data for part in parts)
        return parts[-1]


def requests(client):
    streams = [client.request("POST", "/", b"n%d" % number) for number in range(3)]
    answers = [client.response(stream) for stream in streams]
    say("three at once", answers == [("200", b"2 POST n%d" % n) for n in range(3)])


def tunnels(client):
    plain = [Tunnel(client) for _ in range(3)]
    compressed = [Tunnel(client, PerMessageDeflate()) for _ in range(3)]
    every = plain + compressed
    say("tunnels are accepted", all([tunnel.accepted() for tunnel in every]))
    say("compression is agreed on", all(tunnel.extension.enabled() for tunnel in compressed))
    texts = [f"grüß {number} 🐪 " * 9000 for number in range(len(every))]
    for tunnel, text in zip(every, texts):
        tunnel.send(TextMessage(data=text))
    body = b"x" * 300_000
    between = client.request("POST", "/", body)
    say("a request between them", client.response(between) == ("200", b"2 POST " + body))
    heard = [tunnel.next(TextMessage) for tunnel in reversed(every)]
    say("each hears its own", heard == texts[::-1])
    sizes = [len(client.data[tunnel.stream]) for tunnel in (plain[0], compressed[0])]
    say("the compressed ones hear less", sizes[1] < sizes[0] / 50)

    blob = bytes(range(256)) * 200
    for tunnel in every:
        tunnel.send(
            BytesMessage(data=blob[:100], message_finished=False),
            Ping(payload=b"between"),
            BytesMessage(data=blob[100:]),
        )
    say("pongs", all([tunnel.next(Pong).payload == b"between" for tunnel in every]))
    say("bytes in fragments", all([tunnel.next(BytesMessage) == blob for tunnel in every]))

    for tunnel in every[1:]:
        tunnel.send(CloseConnection(code=3000, reason="over"))
    closed = [tunnel.next(CloseConnection) for tunnel in every[1:]]
    say("closed", all((end.code, end.reason) == (3000, "over") for end in closed))
    client.wait(lambda: all(tunnel.stream in client.ended for tunnel in every[1:]))
    every[0].send(TextMessage(data="still here"))
    say("one is left, and lives", every[0].next(TextMessage) == "still here")


def ends(client):
    tunnel = Tunnel(client, path="/close")
    tunnel.accepted()
    closed = tunnel.next(CloseConnection)
    say("closed by the server", (closed.code, closed.reason) == (4321, "genug"))
    denied = Tunnel(client, path="/forbidden")
    say("denied", client.response(denied.stream) == ("403", b"Forbidden"))


client = Client()
requests(client)
tunnels(client)
ends(client)
requests(client)
