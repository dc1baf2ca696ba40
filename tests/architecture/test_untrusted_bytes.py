"""Nothing that a client or a file can say is ever run: one safe way in for messages, weights and pictures."""

import ast
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from models.errors import DatasetUnusable
from models.imaging.arrays import load_image
from service.broker import broker_of
from service.decoding import FORMATS, ImageLimits, ImageRefusal, decode
from service.settings import Settings
from tests.architecture.sources import name_of, python_files, tree_of
from tests.fakes.pictures import encoded, noise

#: Calls that run what they read. `torch.load` and `yaml.load` have safe forms, which are looked at below.
FORBIDDEN = {
    "pickle.load",
    "pickle.loads",
    "cPickle.loads",
    "dill.load",
    "dill.loads",
    "joblib.load",
    "marshal.loads",
    "shelve.open",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.hub.load",
    "shutil.unpack_archive",
}
#: An extractor that the operator registers, compared with the SHA-256 that he pinned before it is opened.
PINNED = "models/evaluation/inception.py torch.jit.load"
#: The demo unpacks what its own service sent; a worker an adapter, compared with its digest first.
UNPACKED = ["service/demo/output.py packed.extractall", "worker/workspace.py packed.extractall"]
#: MPO is what cameras call a JPEG with a preview behind it.
OTHER_FORMATS = sorted(set(Image.registered_extensions().values()) & set(Image.SAVE) - {*FORMATS, "MPO"})
LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=10_000, max_side_px=200, min_side_px=8)


def calls_of(path: Path) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]


def keywords_of(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_nothing_in_the_tree_runs_what_it_reads() -> None:
    found = [
        f"{name_of(path)} {name}"
        for path in python_files()
        for name, call in calls_of(path)
        if name in FORBIDDEN
        or name.endswith((".extractall", ".extract"))
        or {("allow_pickle", "True"), ("shell", "True")} & set(keywords_of(call).items())
    ]
    assert found == [PINNED, *UNPACKED]


def test_torch_loads_tensors_alone() -> None:
    loads = [(path, call) for path in python_files() for name, call in calls_of(path) if name == "torch.load"]
    for path, call in loads:
        assert keywords_of(call).get("weights_only") == "True", f"{name_of(path)}:{call.lineno}"


def test_models_are_opened_from_safetensors_alone() -> None:
    """Tokenizers and schedulers are JSON; `**weights` is where the base model's networks are told."""
    opened = [
        (path, name, keywords_of(call))
        for path in python_files()
        for name, call in calls_of(path)
        if name.endswith(".from_pretrained") and not re.search("[Tt]okenizer|[Ss]cheduler", name)
    ]
    assert len(opened) >= 5
    for path, name, given in opened:
        told = given.get("use_safetensors") or re.findall(
            rf"^ *{given.get(None)}\b.*use_safetensors.*$", path.read_text(), re.M
        )
        assert "True" in str(told), f"{name_of(path)} {name}"


@pytest.mark.parametrize("url", [None, "redis://localhost/0", "rediss://localhost/0", "amqp://localhost//"])
def test_messages_are_json_over_every_broker_in_both_directions(url: str | None, tmp_path: Path) -> None:
    from celery import Celery

    broker = broker_of(Settings(data_dir=tmp_path, broker_url=url))
    for config in (broker.worker_config(), broker.sender_config()):
        app = Celery("probe")
        app.conf.update(config)
        assert app.conf.accept_content == ["json"]
        assert app.conf.task_serializer == "json"
        assert set(app.conf.result_accept_content or app.conf.accept_content) == {"json"}


def test_a_message_in_another_encoding_is_refused(tmp_path: Path) -> None:
    from kombu import Connection, Queue
    from kombu.exceptions import ContentDisallowed
    from kombu.serialization import loads

    broker = broker_of(Settings(data_dir=tmp_path))
    accept = broker.worker_config()["accept_content"]
    with Connection(broker.url, transport=broker.transport, transport_options=broker.transport_options) as connection:
        queue = Queue("jobs")(connection.channel())
        queue.declare()
        connection.Producer().publish({"a": 1}, routing_key="jobs", serializer="pickle")
        message = queue.get(no_ack=True)
    assert message is not None
    with pytest.raises(ContentDisallowed):
        loads(message.body, message.content_type, message.content_encoding, accept=accept)


@pytest.mark.parametrize("image_format", OTHER_FORMATS)
def test_pillow_s_other_formats_are_refused_by_api_and_worker(image_format: str, tmp_path: Path) -> None:
    """Whatever else this Pillow can write: the API takes five formats, the worker the one that is stored."""
    try:
        data = encoded(noise(1, (32, 32), "RGB"), image_format)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, DeprecationWarning):
        pytest.skip(f"Pillow has no writer for {image_format} here")
    with pytest.raises(ImageRefusal):
        decode(io.BytesIO(data), "a.png", LIMITS)
    assert_worker_refuses(data, tmp_path)


@pytest.mark.parametrize("image_format", sorted(set(FORMATS) - {"PNG"}))
def test_the_worker_opens_png_alone(image_format: str, tmp_path: Path) -> None:
    assert_worker_refuses(encoded(noise(1, (32, 32), "RGB"), image_format), tmp_path)


def assert_worker_refuses(data: bytes, folder: Path) -> None:
    (folder / "stored").write_bytes(data)
    with pytest.raises(DatasetUnusable):
        load_image(folder / "stored")


def test_every_picture_is_opened_by_a_list_of_formats() -> None:
    opened = [(path, call) for path in python_files() for name, call in calls_of(path) if name == "Image.open"]
    assert opened
    for path, call in opened:
        assert "formats" in keywords_of(call), f"{name_of(path)}:{call.lineno}"
