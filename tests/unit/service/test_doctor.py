import hashlib
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service import doctor
from service.doctor import Finding, Verdict
from service.settings import Settings


def registered(folder: Path, entry: str) -> Settings:
    registry = folder / "base_models.toml"
    registry.write_text(f"[models.sd]\n{entry}\n")
    return Settings(data_dir=folder / "data", base_models=registry)


def of_sd(settings: Settings) -> Finding:
    return next(one for one in doctor.base_models(settings) if one.check == "base model sd")


def test_a_base_model_is_compared_with_its_manifest_file_by_file(tmp_path: Path) -> None:
    model = tmp_path / "sd"
    model.mkdir()
    (model / "model_index.json").write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    (model / "manifest.json").write_text(json.dumps({"revision": "abc", "sha256": {"model_index.json": digest}}))
    settings = registered(tmp_path, 'path = "sd"')
    assert of_sd(settings).verdict is Verdict.FINE
    assert "revision abc" in of_sd(settings).seen
    (model / "model_index.json").write_text("{ }")
    assert (of_sd(settings).verdict, of_sd(settings).seen) == (
        Verdict.WRONG,
        "damaged or changed: model_index.json",
    )


@pytest.mark.parametrize("manifest", ["{", "[]", '{"revision": "abc"}', '{"sha256": ["a"]}', "\udc80"])
def test_a_manifest_that_is_none_is_a_finding(manifest: str, tmp_path: Path) -> None:
    model = tmp_path / "sd"
    model.mkdir()
    (model / "model_index.json").write_text("{}")
    (model / "manifest.json").write_text(manifest, encoding="utf-8", errors="surrogateescape")
    found = of_sd(registered(tmp_path, 'path = "sd"'))
    assert (found.verdict, "manifest.json" in found.seen, bool(found.remedy)) == (Verdict.WRONG, True, True)


def test_weights_of_gigabytes_are_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    with weights.open("wb") as stream:
        stream.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        assert doctor._digest(weights) is not None
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 2**20


def test_a_missing_folder_is_wrong_and_a_hub_id_is_only_noted(tmp_path: Path) -> None:
    assert of_sd(registered(tmp_path, f'path = "{tmp_path}/nowhere"')).verdict is Verdict.WRONG
    assert of_sd(registered(tmp_path, 'path = "someone/sd"\nrevision = "f00"')).verdict is Verdict.NOTE


def test_a_registry_that_cannot_be_read_is_one_finding(tmp_path: Path) -> None:
    (finding,) = doctor.base_models(registered(tmp_path, "rank = 3"))
    assert (finding.verdict, bool(finding.remedy)) == (Verdict.WRONG, True)


def test_looking_for_the_database_makes_none(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    assert doctor.database(settings).verdict is Verdict.FINE
    assert doctor.data_dir(settings).verdict is Verdict.FINE
    assert list(tmp_path.iterdir()) == []


def test_servers_that_do_not_answer_are_wrong_and_say_what_to_set(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2",
        broker_url="redis://127.0.0.1:1/0",
    )
    for finding, variable in (
        (doctor.database(settings), "DEFECTSYNTH_DATABASE_URL"),
        (doctor.broker(settings), "DEFECTSYNTH_BROKER_URL"),
    ):
        assert finding.verdict is Verdict.WRONG
        assert variable in finding.remedy


def test_a_full_disk_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MIN_FREE_BYTES", 2**62)
    assert doctor.disk(Settings(data_dir=tmp_path)).verdict is Verdict.WRONG


def test_an_address_in_use_is_noted_with_the_setting_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(data_dir=tmp_path, port=taken.getsockname()[1])
        assert doctor.port(settings).verdict is Verdict.NOTE
        assert "DEFECTSYNTH_PORT" in doctor.port(settings).remedy
    assert doctor.port(settings).verdict is Verdict.FINE


def test_torch_is_asked_in_a_process_of_its_own() -> None:
    assert doctor.torch(Settings(device="cpu")).seen.split()[0][0].isdigit()


def test_an_extractor_is_compared_with_its_registered_digest(tmp_path: Path) -> None:
    weights = tmp_path / "fid.pt"
    weights.write_bytes(b"weights")
    registry = tmp_path / "models.toml"
    registry.write_text(
        f'[extractors.fid]\nkind = "inception"\npath = "fid.pt"\nsha256 = "{hashlib.sha256(b"weights").hexdigest()}"\n'
    )
    settings = Settings(data_dir=tmp_path, base_models=registry)
    assert [one.verdict for one in doctor.extractors(settings)] == [Verdict.FINE, Verdict.FINE]
    weights.write_bytes(b"other weights")
    (_, fid) = doctor.extractors(settings)
    assert fid.verdict is Verdict.WRONG and hashlib.sha256(b"other weights").hexdigest() in fid.seen
    weights.unlink()
    assert doctor.extractors(settings)[1].verdict is Verdict.WRONG


def test_a_default_extractor_that_is_not_registered_is_found(tmp_path: Path) -> None:
    (finding,) = doctor.extractors(Settings(data_dir=tmp_path, extractor="fid"))
    assert finding.verdict is Verdict.WRONG and "DEFECTSYNTH_EXTRACTOR" in finding.seen


def test_an_artefact_store_elsewhere_is_written_to(s3_settings: Settings) -> None:
    assert doctor.artifacts(s3_settings).verdict is Verdict.FINE
    wrong = s3_settings.model_copy(update={"artifacts_url": "s3://nobodys"})
    assert doctor.artifacts(wrong).verdict is Verdict.WRONG
    assert "DEFECTSYNTH_ARTIFACTS_URL" in doctor.artifacts(wrong).remedy
    assert not s3_settings.data_dir.exists()


def test_a_service_of_ours_on_the_address_tells_how_it_is(tmp_path: Path) -> None:
    ready = {"status": "degraded", "checks": {"database": "ok", "worker": "none seen lately"},
             "remedies": {"worker": "Start a worker."}}  # fmt: skip
    with answering(ready) as port:
        finding = doctor.port(Settings(data_dir=tmp_path, port=port))
    assert (finding.verdict, finding.remedy) == (Verdict.NOTE, "Start a worker.")
    assert "degraded; worker: none seen lately" in finding.seen
    with answering({"status": "ready", "checks": {"database": "ok"}}) as port:
        assert doctor.port(Settings(data_dir=tmp_path, port=port)).verdict is Verdict.FINE
    with answering({"something": "else"}) as port:
        assert "Another program" in doctor.port(Settings(data_dir=tmp_path, port=port)).remedy


@contextmanager
def answering(document: dict[str, object]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if document.get("status") != "unready" else 503)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("device", "has_driver", "is_cuda_build", "verdict", "words"),
    [
        ("auto", False, True, Verdict.NOTE, "bundled model"),
        ("cuda", False, True, Verdict.WRONG, "DEFECTSYNTH_DEVICE=cpu"),
        ("auto", True, False, Verdict.NOTE, "CPU build"),
        ("cuda:0", True, True, Verdict.WRONG, "nvidia-smi"),
    ],
)
def test_why_no_gpu_is_seen_is_said(
    device: str, has_driver: bool, is_cuda_build: bool, verdict: Verdict, words: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(doctor, "_NVIDIA_DRIVER", tmp_path if has_driver else tmp_path / "none")
    finding = doctor._without_gpu(Settings(device=device), "2.8", is_cuda_build=is_cuda_build)
    assert finding.verdict is verdict and words in finding.remedy
