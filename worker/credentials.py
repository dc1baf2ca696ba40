"""Content Credentials (C2PA): a synthetic PNG that says, signed with the operator's key, what made it.

The signature is part of the file before the file is stored, so that its digest, its ETag and every archive hold the
same bytes for good. c2pa draws a name for each claim: signed files of equal pixels are not equal.
"""

import io
import json
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from worker.lineage import DIGITAL_SOURCE_TYPE, png_bytes
from worker.settings import WorkerSettings

#: From the bytes of a PNG to those that are stored.
Sign = Callable[[bytes], bytes]

_PNG = "image/png"


class CredentialsUnusable(ValueError):
    """The operator's certificate or key cannot sign, or the extra is not installed."""


def unsigned(png: bytes) -> bytes:
    """The bytes as they are."""
    return png


def signing(own: WorkerSettings) -> Sign:
    """What signs PNGs as these settings say; tried on one pixel before it is given.

    A signer does not outlive a fork: each process makes its own. Raises ``CredentialsUnusable``.
    """
    if own.c2pa_certificate is None or own.c2pa_key is None:
        return unsigned
    sign = ContentCredentials(own.c2pa_certificate, own.c2pa_key, own.c2pa_algorithm)
    sign.check()
    return sign


class ContentCredentials:
    """Signs with one certificate chain (PEM, the signer's own first) and its private key (PEM, PKCS #8)."""

    def __init__(self, certificate: Path, key: Path, algorithm: str) -> None:
        self._c2pa = _library()
        try:
            info = self._c2pa.C2paSignerInfo(
                alg=algorithm.encode(), sign_cert=certificate.read_bytes(), private_key=key.read_bytes(), ta_url=None
            )
            self._signer = self._c2pa.Signer.from_info(info)
        except (OSError, self._c2pa.C2paError) as error:
            raise CredentialsUnusable(f"{certificate} and {key} cannot sign: {error}") from error
        # A thumbnail would be larger than many of the pictures.
        self._context = self._c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        # Generations that run together store from a thread each, and the library does not say that it may be shared.
        self._lock = threading.Lock()

    def __call__(self, png: bytes) -> bytes:
        """The same picture with its claim."""
        signed = io.BytesIO()
        with self._lock, self._c2pa.Builder(_claim(), self._context) as builder:
            builder.sign(self._signer, _PNG, io.BytesIO(png), signed)
        return signed.getvalue()

    def check(self) -> None:
        """Sign one pixel and read it back. Raises ``CredentialsUnusable``."""
        try:
            signed = self(png_bytes(Image.new("L", (1, 1)), {}))
            with self._c2pa.Reader(_PNG, io.BytesIO(signed)) as reader:
                found = json.loads(reader.json())
        except self._c2pa.C2paError as error:
            raise CredentialsUnusable(
                f"the certificate and key of DEFECTSYNTH_WORKER_C2PA_* cannot sign: {error}"
            ) from error
        # Whom to trust is the reader's affair; whether the signature holds is not.
        if found["validation_state"] not in ("Valid", "Trusted"):
            raise CredentialsUnusable(f"what was signed with DEFECTSYNTH_WORKER_C2PA_* is not valid: {_faults(found)}")


def _claim() -> dict[str, object]:
    software = {"name": "defectsynth", "version": version("defectsynth")}
    created = {"action": "c2pa.created", "digitalSourceType": DIGITAL_SOURCE_TYPE, "softwareAgent": software}
    return {
        "claim_generator_info": [software],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


def _faults(found: dict[str, Any]) -> str:
    return ", ".join(one["code"] for one in found.get("validation_status", []))


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise CredentialsUnusable(
            "DEFECTSYNTH_WORKER_C2PA_CERTIFICATE is set, and c2pa-python is not installed: pip install '.[c2pa]'"
        ) from error
    return c2pa
