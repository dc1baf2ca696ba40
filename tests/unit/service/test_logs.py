import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import structlog

from service.logs import bound, bound_value, configure_logs, get_logger

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"


@pytest.fixture
def stream() -> Iterator[StringIO]:
    yield StringIO()
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


def events(stream: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "keys",
    [
        {"admin_key": SECRET},
        {"token": SECRET},
        {"error": f"Error 111 connecting to redis://:{SECRET}@redis:6379/0."},
        {"error": f"no route to postgresql+psycopg://defectsynth:{SECRET}@@postgres:5432/defectsynth"},
    ],
)
def test_no_secret_is_written(stream: StringIO, keys: dict[str, str]) -> None:
    configure_logs("debug", stream)
    get_logger().warning("queue.unreachable", **keys)
    assert "hunter2" not in stream.getvalue()
    (event,) = events(stream)
    assert "***" in event[next(iter(keys))]


def test_neither_traces_nor_libraries_write_a_secret(stream: StringIO) -> None:
    configure_logs("info", stream)
    try:
        raise ConnectionError(f"amqp://user:{SECRET}@host")
    except ConnectionError:
        get_logger().exception("broke")
    logging.getLogger("library").warning("retrying %s", f"redis://:{SECRET}@host")
    assert "hunter2" not in stream.getvalue()
    assert [event["event"] for event in events(stream)] == ["broke", "retrying redis://:***@host"]
    assert "ConnectionError: amqp://user:***@host" in events(stream)[0]["exception"]


def test_the_token_that_fences_leases_is_no_secret_and_a_path_no_password(stream: StringIO) -> None:
    configure_logs("info", stream)
    get_logger().info("job.claimed", fencing_token=3, url="http://127.0.0.1:8000/v1/jobs?email=a@b")
    assert (events(stream)[0]["fencing_token"], events(stream)[0]["url"]) == (
        3,
        "http://127.0.0.1:8000/v1/jobs?email=a@b",
    )


def test_what_lies_below_the_level_is_not_written(stream: StringIO) -> None:
    configure_logs("warning", stream)
    get_logger().info("quiet")
    get_logger().warning("loud")
    assert [event["event"] for event in events(stream)] == ["loud"]


def test_a_bound_value_is_known_inside_its_block_only() -> None:
    with bound(request_id="r1"):
        assert bound_value("request_id") == "r1"
    assert bound_value("request_id") is None


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("out", [Terminal(), StringIO()], ids=["on a terminal", "elsewhere"])
def test_a_traceback_shows_where_it_happened_and_no_variable(stream: StringIO, out: StringIO) -> None:
    configure_logs(stream=out)
    admin_key = "".join(["never", "shown"])
    try:
        raise ValueError(len(admin_key))
    except ValueError as error:
        get_logger().error("request.crashed", exc_info=error)
    assert "test_logs.py" in out.getvalue()
    assert "ValueError" in out.getvalue()
    assert "nevershown" not in out.getvalue()
