"""``defectsynth doctor``: what would stop the service on this machine, and how to mend it."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rich.table import Table
from rich.text import Text
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.errors import ServiceError
from service.queue import Queue
from service.registry import BUNDLED_MODEL, BaseModelEntry, ExtractorEntry, load_base_models, load_extractors
from service.settings import Settings
from service.store.database import Database
from service.store.placement import artifact_store

_MIN_FREE_BYTES = 2 * 2**30
_TORCH_TIMEOUT_SECONDS = 120
_TORCH_PROGRAM = """
import torch
names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
print(torch.__version__, torch.get_num_threads(), torch.version.cuda or "", ", ".join(names), sep="|")
"""
#: There as soon as the kernel has an NVIDIA driver, whatever is installed for Python.
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_READY_TIMEOUT_SECONDS = 3.0
_RESTORE = "Restore the folder from the release."


class Verdict(StrEnum):
    """Of one check."""

    FINE = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One check's verdict, what was seen, and what to do where something is wrong."""

    check: str
    verdict: Verdict
    seen: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every check. Nothing is started, and nothing is left changed."""
    checks: list[Callable[[Settings], Finding]] = [data_dir, disk, database, artifacts, broker, port, torch]
    return [*base_models(settings), *extractors(settings), *(check(settings) for check in checks)]


def table(findings: list[Finding]) -> Table:
    """The findings, a row each."""
    styles = {Verdict.FINE: "green", Verdict.NOTE: "yellow", Verdict.WRONG: "bold red"}
    shown = Table("check", "", "seen", "what to do")
    for one in findings:
        shown.add_row(one.check, Text(one.verdict, styles[one.verdict]), Text(one.seen), Text(one.remedy))
    return shown


def base_models(settings: Settings) -> list[Finding]:
    """Every registered base model; the registry itself where it cannot be read."""
    try:
        entries = load_base_models(settings)
    except ValueError as error:
        return [
            Finding("base models", Verdict.WRONG, str(error), "Correct the file that DEFECTSYNTH_BASE_MODELS names.")
        ]
    return [_base_model(entry) for entry in entries.values()]


def _base_model(entry: BaseModelEntry) -> Finding:
    check, folder = f"base model {entry.name}", Path(entry.path)
    if not (folder / "model_index.json").is_file():
        return _without_folder(check, entry)
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return Finding(check, Verdict.FINE, f"{folder} (no manifest: its files were not compared)")
    try:
        revision, digests = _published(manifest)
        changed = [name for name, digest in digests.items() if _digest(folder / name) != digest]
    except (OSError, ValueError) as error:
        return Finding(check, Verdict.WRONG, f"its files cannot be compared: {error}", _RESTORE)
    if changed:
        return Finding(check, Verdict.WRONG, f"damaged or changed: {', '.join(changed[:3])}", _RESTORE)
    return Finding(check, Verdict.FINE, f"{folder}, revision {revision}, every file as published")


def _published(manifest: Path) -> tuple[object, dict[str, object]]:
    """Revision and digests by file. Raises ``OSError``; ``ValueError`` for what is no manifest."""
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{manifest} is no JSON ({error})") from error
    digests = told.get("sha256") if isinstance(told, dict) else None
    if not isinstance(digests, dict):
        raise ValueError(f"{manifest} has no 'sha256' of each file")
    return told.get("revision"), digests


def _without_folder(check: str, entry: BaseModelEntry) -> Finding:
    if entry.name == BUNDLED_MODEL:
        return Finding(check, Verdict.WRONG, f"no weights in {entry.path}", "Restore the folder, or train: make prior")
    if Path(entry.path).is_absolute() or entry.path.startswith("."):
        return Finding(check, Verdict.WRONG, f"{entry.path} is no diffusers folder", "Correct 'path' in the registry.")
    return Finding(check, Verdict.NOTE, f"{entry.path} at {entry.revision or 'no pinned revision'}",
                   "It is fetched from the hub at its first job.")  # fmt: skip


def extractors(settings: Settings) -> list[Finding]:
    """Every registered feature extractor; the registry, or the default, where it cannot be used."""
    try:
        entries = load_extractors(settings)
    except ValueError as error:
        remedy = "Correct the file that DEFECTSYNTH_BASE_MODELS names, or DEFECTSYNTH_EXTRACTOR."
        return [Finding("extractors", Verdict.WRONG, str(error), remedy)]
    return [_extractor(entry) for entry in entries.values()]


def _extractor(entry: ExtractorEntry) -> Finding:
    """Whether the file is there and, where it is one file, has the digest that is registered."""
    check, path = f"extractor {entry.name}", Path(entry.path)
    if not path.exists():
        if entry.revision is not None:
            return Finding(
                check, Verdict.NOTE, f"{path} at {entry.revision}", "It is fetched from the hub at first use."
            )
        return Finding(check, Verdict.WRONG, f"{path} is not there", "Correct 'path' in the registry.")
    weights = [path] if path.is_file() else list(path.glob("*.safetensors"))
    if not weights:
        return Finding(check, Verdict.WRONG, f"no .safetensors file in {path}", "Restore the folder.")
    if entry.sha256 is None or len(weights) > 1:
        return Finding(check, Verdict.FINE, f"{path} (its digest was not compared)")
    try:
        found = _digest(weights[0])
    except OSError as error:
        return Finding(check, Verdict.WRONG, f"it cannot be read: {error}", "Give this user the right to read it.")
    if found != entry.sha256.lower():
        return Finding(check, Verdict.WRONG, f"{weights[0]} has the SHA-256 {found}", "Install the file again.")
    return Finding(check, Verdict.FINE, f"{weights[0]}, as registered")


def _digest(path: Path) -> str | None:
    """SHA-256, a piece at a time: weights have gigabytes. None where there is no such file; raises ``OSError``."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def data_dir(settings: Settings) -> Finding:
    """Whether the data folder, or the folder it would be made in, can be written."""
    folder = _nearest(settings.data_dir)
    try:
        probe = folder / f".doctor-{socket.gethostname()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        remedy = "Give this user the right to write there, or set DEFECTSYNTH_DATA_DIR."
        return Finding("data folder", Verdict.WRONG, f"{folder} cannot be written ({error.strerror})", remedy)
    made = "" if settings.data_dir.is_dir() else " (made at the first start)"
    return Finding("data folder", Verdict.FINE, f"{settings.data_dir.resolve()}{made}")


def disk(settings: Settings) -> Finding:
    """Free space where the data folder lies."""
    free_bytes = shutil.disk_usage(_nearest(settings.data_dir)).free
    seen = f"{free_bytes / 2**30:.1f} GiB free"
    if free_bytes < _MIN_FREE_BYTES:
        return Finding("disk", Verdict.WRONG, seen, "Free some space, or set DEFECTSYNTH_DATA_DIR to another disk.")
    return Finding("disk", Verdict.FINE, seen)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.resolve()
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def database(settings: Settings) -> Finding:
    """Whether the database answers; a SQLite file that is not there yet is not made."""
    url = make_url(settings.sqlalchemy_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return Finding("database", Verdict.FINE, "SQLite, made at the first start")
    try:
        opened = Database(settings.sqlalchemy_url)
        opened.ping()
        opened.close()
    except (SQLAlchemyError, ValueError, OSError) as error:
        remedy = "Start the database server, or correct DEFECTSYNTH_DATABASE_URL."
        return Finding("database", Verdict.WRONG, str(error).splitlines()[0], remedy)
    return Finding("database", Verdict.FINE, url.render_as_string(hide_password=True))


def artifacts(settings: Settings) -> Finding:
    """Whether an artefact store that is elsewhere takes bytes; a folder is made at the first start."""
    if settings.artifacts_url is None:
        return Finding("artefacts", Verdict.FINE, "files in the data folder")
    at = f"{settings.artifacts_url} at {settings.s3_endpoint_url or 'AWS'}"
    try:
        artifact_store(settings).check_writable()
    except (ServiceError, ValueError, OSError) as error:
        remedy = "Correct DEFECTSYNTH_ARTIFACTS_URL, DEFECTSYNTH_S3_ENDPOINT_URL or the credentials of boto3."
        return Finding("artefacts", Verdict.WRONG, f"{at}: {error}", remedy)
    return Finding("artefacts", Verdict.FINE, f"{at}: it takes bytes")


def broker(settings: Settings) -> Finding:
    """Whether the broker answers; files need none."""
    if settings.broker_url is None:
        return Finding("broker", Verdict.FINE, "files in the data folder")
    queue = Queue(settings)
    try:
        queue.check()
    except Exception as error:  # every transport has its own errors
        return Finding("broker", Verdict.WRONG, str(error), "Start the broker, or correct DEFECTSYNTH_BROKER_URL.")
    finally:
        queue.close()
    return Finding("broker", Verdict.FINE, "it answers")


def port(settings: Settings) -> Finding:
    """Whether the address can be listened on."""
    address = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            return _taken(settings, f"{address} cannot be taken ({error.strerror})")
    return Finding("address", Verdict.FINE, f"{address} is free")


def _taken(settings: Settings, seen: str) -> Finding:
    """Who has the address: this service, which then tells how it is, or another program."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    try:
        with direct.open(f"http://{host}:{settings.port}/health/ready", timeout=_READY_TIMEOUT_SECONDS) as answer:
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        told = _read(error)
    except (OSError, ValueError):
        told = {}
    if not isinstance(told, dict) or "checks" not in told:
        remedy = "Another program has it: stop that, or set DEFECTSYNTH_PORT (`defectsynth serve --port`)."
        return Finding("address", Verdict.NOTE, seen, remedy)
    wrong = [f"{name}: {one}" for name, one in told["checks"].items() if one != "ok"]
    verdict = Verdict.FINE if not wrong else Verdict.NOTE if told.get("status") == "degraded" else Verdict.WRONG
    running = f"a defectsynth service runs on {settings.host}:{settings.port}, {told.get('status')}"
    remedies = " ".join(str(one) for one in told.get("remedies", {}).values())
    return Finding("address", verdict, "; ".join([running, *wrong]), remedies)


def _read(error: urllib.error.HTTPError) -> object:
    """An unready service answers 503, with what is wrong."""
    try:
        return json.load(error)
    except (OSError, ValueError):
        return {}


def torch(settings: Settings) -> Finding:
    """PyTorch and GPUs, as a worker would see them; asked in a process of its own."""
    command = [sys.executable, "-c", _TORCH_PROGRAM]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_TIMEOUT_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError):
        remedy = "An API alone needs none. For a worker: pip install '.[worker]'"
        return Finding("torch", Verdict.NOTE, "PyTorch cannot be imported", remedy)
    version, threads, cuda, gpus = told.stdout.strip().splitlines()[-1].split("|")
    if gpus:
        return Finding("torch", Verdict.FINE, f"{version}, GPU: {gpus}")
    return _without_gpu(settings, f"{version}, no GPU, {threads} CPU threads", is_cuda_build=bool(cuda))


def _without_gpu(settings: Settings, seen: str, *, is_cuda_build: bool) -> Finding:
    """Why torch sees none, as far as that can be told: the wrong build of it, or no driver."""
    verdict = Verdict.WRONG if settings.device.startswith("cuda") else Verdict.NOTE
    has_driver = _NVIDIA_DRIVER.exists()
    if has_driver and not is_cuda_build:
        remedy = "There is an NVIDIA driver, but this torch is a CPU build: install the CUDA build of the same version."
    elif has_driver:
        remedy = (
            "There is an NVIDIA driver that this torch cannot use: see whether nvidia-smi works, and update the driver."
        )
    elif verdict is Verdict.WRONG:
        remedy = "Install the NVIDIA driver (and, in a container, its toolkit), or set DEFECTSYNTH_DEVICE=cpu."
    else:
        remedy = "Enough for the bundled model; larger base models want a GPU."
    return Finding("torch", verdict, seen, remedy)
