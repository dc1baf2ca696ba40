import json
import time
from pathlib import Path

from kombu import Connection

from service.broker import JOBS_QUEUE, WAKE_TASK, broker_of
from service.contracts.ids import JobId
from service.contracts.jobs import JobKind
from service.queue import Queue
from service.settings import Settings


def sent(settings: Settings, *names: str) -> None:
    queue = Queue(settings)
    for name in names:
        assert queue.send(JobKind.GENERATION, JobId(name))
    queue.close()


def test_a_wake_up_names_the_task_and_carries_the_job_s_id_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    sent(settings, "job_1")
    (message,) = (settings.broker_dir / "messages").iterdir()
    assert message.name.endswith(f".{JOBS_QUEUE}.msg")
    envelope = json.loads(message.read_text())
    assert envelope["headers"]["task"] == WAKE_TASK
    assert envelope["headers"]["argsrepr"] == "['job_1']"


def test_messages_are_received_in_the_order_they_were_sent_and_unfinished_ones_are_not_seen(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    sent(settings, "job_1", "job_2")
    folder = settings.broker_dir / "messages"
    (folder / "00000000000000000000_being-written.part").write_text("")
    (folder / f"00000000000000000000_damaged.{JOBS_QUEUE}.msg").write_text("{")
    broker = broker_of(settings)
    with Connection(broker.url, transport=broker.transport, transport_options=broker.transport_options) as connection:
        received = connection.SimpleQueue(JOBS_QUEUE)
        arguments = [received.get(timeout=2).headers["argsrepr"] for _ in range(2)]
        assert arguments == ["['job_1']", "['job_2']"]
        assert received.qsize() == 0
        received.close()


def test_a_broker_that_is_away_is_told_soon_and_raises_nothing(tmp_path: Path) -> None:
    queue = Queue(Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0"))
    started = time.monotonic()
    assert queue.send(JobKind.ADAPTATION, JobId("job_1")) is False
    assert time.monotonic() - started < 5
    queue.close()
