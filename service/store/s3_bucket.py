"""The few requests of an S3-compatible server that the artefacts need, typed, with its errors as this service's."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.errors import ServiceError, StorageFull, StorageUnavailable
from service.logs import get_logger

_log = get_logger()

#: Larger files go in parts of `_PART_BYTES`, one after another, so that one part is in memory at a time.
SINGLE_REQUEST_BYTES = 64 * 2**20
_PART_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**20
#: As many keys as one request may delete.
_DELETED_AT_ONCE = 1000
_ABSENT = frozenset({"NoSuchKey", "404", "NoSuchUpload"})
_FULL = frozenset({"XMinioStorageFull", "InsufficientStorage", "InsufficientCapacity", "QuotaExceeded", "507"})


class KeyAbsent(Exception):
    """There is no object of this key."""


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing."""

    key: str
    put_at: datetime
    size_bytes: int


class Bucket:
    """A bucket. Credentials are found as boto3 finds them. Every method raises ``StorageUnavailable``."""

    def __init__(self, name: str, endpoint_url: str | None, region: str | None) -> None:
        self._name = name
        config = Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=32,
        )
        with _translated():
            self._client: Any = boto3.session.Session().client(
                "s3", endpoint_url=endpoint_url, region_name=region, config=config
            )

    def put(self, key: str, body: bytes | BinaryIO, sha256: str) -> None:
        """Store ``body`` by one request; the server compares it with the digest. Raises ``StorageFull``."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with _translated():
            self._client.put_object(Bucket=self._name, Key=key, Body=body, ChecksumSHA256=checksum)

    def put_in_parts(self, key: str, path: Path) -> None:
        """Store a large file; the server compares each part with its digest. Raises ``StorageFull``."""
        config = TransferConfig(multipart_chunksize=_PART_BYTES, use_threads=False)
        with _translated():
            self._client.upload_file(
                str(path), self._name, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=config
            )

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes, some at a time. Raises `KeyAbsent`."""
        with _translated():
            body = self._client.get_object(Bucket=self._name, Key=key)["Body"]
            yield from body.iter_chunks(_CHUNK_BYTES)

    def listed(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins with ``prefix``, in the order of keys."""
        with _translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix):
                for one in page.get("Contents", ()):
                    yield ListedObject(one["Key"], one["LastModified"], one["Size"])

    def delete(self, keys: list[str]) -> None:
        """Delete objects; unknown ones are no error."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            doomed = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            with _translated():
                told = self._client.delete_objects(Bucket=self._name, Delete={"Objects": doomed, "Quiet": True})
            if told.get("Errors"):
                _log.error("s3.undeleted", errors=told["Errors"][:3])
                raise StorageUnavailable("the artefact store did not delete what it was asked to")

    def abort_uploads(self, prefix: str, begun_before: datetime) -> None:
        """Give back what unfinished uploads in parts hold."""
        with _translated():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name, Prefix=prefix)
            begun = [one for page in pages for one in page.get("Uploads", ()) if one["Initiated"] < begun_before]
        for one in begun:
            with _tolerating_absence(), _translated():
                self._client.abort_multipart_upload(Bucket=self._name, Key=one["Key"], UploadId=one["UploadId"])

    def presigned(self, key: str, seconds: int, headers: dict[str, str]) -> str:
        """An address that gives the object to whoever has it, for so long, with these answer headers."""
        named = {f"Response{name.replace('-', '')}": value for name, value in headers.items()}
        params = {"Bucket": self._name, "Key": key, **named}
        with _translated():
            return str(self._client.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds))


@contextmanager
def _tolerating_absence() -> Iterator[None]:
    try:
        yield
    except KeyAbsent:
        return


@contextmanager
def _translated() -> Iterator[None]:
    """boto3's errors as ours. What it says names hosts and buckets, so it stays in the log."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code, status = str(told.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in _ABSENT:
            raise KeyAbsent from error
        _log.warning("s3.refused", code=code, status=status, error=str(error))
        raise _refusal(code, status) from error
    except (BotoCoreError, Boto3Error) as error:
        _log.warning("s3.unreachable", error=str(error))
        raise StorageUnavailable("the artefact store does not answer") from error


def _refusal(code: str, status: int | None) -> ServiceError:
    if code in _FULL or status == 507:
        return StorageFull("the artefact store is full", remedy="Free space in the artefact store, then try again.")
    return StorageUnavailable(f"the artefact store refused a request ({code or status})")
