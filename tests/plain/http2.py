"""As much of an HTTP/2 server as it takes to see which headers a client sends first."""

import socket

from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS = 1, 4
PADDED, PRIORITY = 0x08, 0x20
PATIENCE = 30


class Listener:
    """Listens on a Unix socket for one connection."""

    def __init__(self, path):
        self.address = f"unix://{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(PATIENCE)
        self._listener.bind(path)
        self._listener.listen()

    def request_headers(self):
        """The headers of the first request; then the connection is closed."""
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(PATIENCE)
            connection.sendall(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
            assert stream.read(len(PREFACE)) == PREFACE
            while True:
                frame = stream.read(9)
                kind, flags, payload = frame[3], frame[4], stream.read(int.from_bytes(frame[:3], "big"))
                if kind == HEADERS:
                    assert not flags & PADDED
                    return dict(Decoder().decode(payload[5:] if flags & PRIORITY else payload))

    def close(self):
        self._listener.close()
