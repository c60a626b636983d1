"""A relay that resets connections: how grpc-go's, so kubelet's, often end, with bytes unread."""

import contextlib
import select
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: close() sends RST."""


@contextlib.contextmanager
def resetting(port):
    """The port of a relay to that port of this machine. When a client goes, the other side sees a reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relaying = threading.Thread(target=relay, args=(listener, port), name="relay")
        relaying.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            relaying.join()


def relay(listener, port):
    with contextlib.suppress(OSError):  # The listener was shut down.
        while True:
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                pump(client, server)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def pump(client, server):
    """Until the client closes its side."""
    other = {client: server, server: client}
    while True:
        for readable in select.select([client, server], [], [])[0]:
            received = readable.recv(65536)
            if not received:
                return
            other[readable].sendall(received)
