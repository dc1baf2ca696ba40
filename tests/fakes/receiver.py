"""A real HTTP server on loopback that stands for a client's receiver of webhooks."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """Answers with ``statuses`` one after the other, the last one for ever. ``hold``: set, it answers."""

    port: int = 0
    statuses: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)
    num_at_once: int = 0
    most_at_once: int = 0

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hook?line=3"


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that answers 204 until it is told otherwise."""
    receiver = Receiver()
    receiver.hold.set()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            with lock:
                receiver.num_at_once += 1
                receiver.most_at_once = max(receiver.most_at_once, receiver.num_at_once)
                place = min(len(receiver.requests), len(receiver.statuses) - 1)
                receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            receiver.arrived.release()
            receiver.hold.wait(20)
            with lock:
                receiver.num_at_once -= 1
            try:
                self.send_response(receiver.statuses[place])
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                pass  # The sender has left.

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # A sender that refuses the certificate.

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
