import io
from collections.abc import Iterator

import pytest
import structlog

from service.logs import configure_logs, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def configuration_is_restored() -> Iterator[None]:
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["on a terminal", "elsewhere"])
def test_a_traceback_shows_where_it_happened_and_no_variable(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    admin_key = "".join(["never", "shown"])
    try:
        raise ValueError(len(admin_key))
    except ValueError as error:
        get_logger().error("request.crashed", exc_info=error)
    assert "test_logs.py" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "nevershown" not in stream.getvalue()
