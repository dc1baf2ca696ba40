"""POSTs to real servers on loopback, which the tests have listed; names resolve to what each test says."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from service.contracts.webhooks import DeliveryError
from service.outbound import AllowList
from tests.fakes.receiver import receiving
from worker.webhooks.posting import Answer, Poster

CERTIFICATE = Path(__file__).resolve().parents[3] / "fakes" / "plant_receiver.pem"
LOOPBACK = "127.0.0.0/8,::1"


def to(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    return lambda host, port: addresses


TO_LOOPBACK = to("127.0.0.1")


def poster(
    resolve: Callable[[str, int], Sequence[str]] = TO_LOOPBACK,
    allow: str = LOOPBACK,
    tls: ssl.SSLContext | None = None,
    timeout_seconds: float = 5.0,
) -> Poster:
    return Poster(AllowList.parse(allow), resolve, tls or ssl.create_default_context(), 2.0, timeout_seconds)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def test_the_body_goes_to_the_pinned_address_under_the_urls_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    with receiving() as receiver:
        answer = poster()(receiver.url("qa.plant.local"), {"webhook-id": "evt_1"}, "{ü}".encode())
        [(headers, body)] = receiver.requests
    assert answer == Answer(status=204)
    assert headers["host"] == f"qa.plant.local:{receiver.port}"
    assert (headers["webhook-id"], body) == ("evt_1", "{ü}")


def test_a_name_that_was_fine_and_now_leads_inside_is_not_connected_to() -> None:
    answers = iter([["127.0.0.2"], ["127.0.0.1"]])
    with receiving() as receiver:
        rebinding = poster(lambda host, port: next(answers), allow="127.0.0.2")
        first, second = (rebinding(receiver.url("evil.example"), {}, b"{}") for _ in range(2))
        assert receiver.requests == []
    assert first == Answer(error=DeliveryError.CONNECTION_FAILED)  # Nobody listens at 127.0.0.2.
    assert second == Answer(error=DeliveryError.ADDRESS_DENIED)


def test_the_name_is_resolved_once_for_judging_and_connecting() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with receiving() as receiver:
        poster(resolve)(receiver.url("qa.plant.local"), {}, b"{}")
    assert asked == ["qa.plant.local"]


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiving() as inside, receiving() as receiver:
        receiver.statuses, receiver.headers = [307], {"Location": inside.url()}
        answer = poster()(receiver.url(), {}, b"{}")
        assert inside.requests == []
    assert answer.status == 307
    assert not answer.is_accepted


def test_the_next_address_is_tried_where_nobody_listens_at_the_first() -> None:
    with receiving() as receiver:
        assert poster(to("::1", "127.0.0.1"))(receiver.url("qa.plant.local"), {}, b"{}").is_accepted


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120.0), ("soon", None), ("-5", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
)
def test_when_to_come_again_is_read_in_either_form(text: str, seconds: float | None) -> None:
    with receiving() as receiver:
        receiver.statuses, receiver.headers = [503], {"Retry-After": text}
        assert poster()(receiver.url(), {}, b"{}") == Answer(status=503, retry_after_seconds=seconds)


def test_the_certificate_must_be_the_names_and_not_the_addresss() -> None:
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=CERTIFICATE)
    server.load_cert_chain(CERTIFICATE)
    with receiving(server) as receiver:
        own, other = receiver.url("qa.plant.local", "https"), receiver.url("other.plant.local", "https")
        assert poster(tls=trusting)(own, {}, b"{}") == Answer(status=204)
        assert poster(tls=trusting)(other, {}, b"{}") == Answer(error=DeliveryError.TLS_FAILED)
        assert poster()(own, {}, b"{}") == Answer(error=DeliveryError.TLS_FAILED)
        assert len(receiver.requests) == 1


def answering(data: bytes, pause_seconds: float = 0.0) -> tuple[int, threading.Thread]:
    """A server that takes one request and answers byte for byte."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.recv(65_536)
            try:
                for byte in data:
                    connection.sendall(bytes([byte]))
                    time.sleep(pause_seconds)
            except OSError:
                pass  # The sender has left.

    thread = threading.Thread(target=answer)
    thread.start()
    return listener.getsockname()[1], thread


def test_a_receiver_that_drips_its_answer_holds_an_attempt_no_longer_than_the_timeout() -> None:
    port, thread = answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, pause_seconds=0.05)
    started = time.monotonic()
    answer = poster(timeout_seconds=0.4)(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert time.monotonic() - started < 3
    assert answer == Answer(error=DeliveryError.TIMED_OUT)
    thread.join()


def test_an_endless_body_is_not_read() -> None:
    port, thread = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000, pause_seconds=0.002)
    assert poster()(f"http://127.0.0.1:{port}/", {}, b"{}") == Answer(status=200)
    thread.join()


def test_what_is_no_http_is_told_by_kind() -> None:
    port, thread = answering(b"220 mail.plant.local ESMTP\r\n")
    assert poster()(f"http://127.0.0.1:{port}/", {}, b"{}") == Answer(error=DeliveryError.ANSWER_UNREADABLE)
    thread.join()


def test_a_name_server_that_takes_all_the_time_leaves_none_to_connect() -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(0.3)
        return ["127.0.0.1"]

    with receiving() as receiver:
        answer = poster(slow, timeout_seconds=0.2)(receiver.url("qa.plant.local"), {}, b"{}")
        assert receiver.requests == []
    assert answer == Answer(error=DeliveryError.TIMED_OUT)


def test_a_name_without_an_address_is_told_by_kind() -> None:
    assert poster(to())("http://qa.plant.local/", {}, b"{}") == Answer(error=DeliveryError.HOST_UNRESOLVED)
