"""moto's S3 as a real HTTP server in a thread: other processes may use it, and tests may turn its clock back."""

import functools
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class S3Server:
    """A server that is running. ``credentials``: environment variables for boto3."""

    url: str
    region: str = "eu-central-1"
    credentials: dict[str, str] = field(
        default_factory=lambda: {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret"}
    )

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"test-{uuid.uuid4().hex}"
        where = {"LocationConstraint": self.region}
        self.client().create_bucket(Bucket=name, CreateBucketConfiguration=where)
        return name

    def client(self) -> Any:
        """A plain client, to look behind the service's back."""
        return _client(self.url, self.region, *self.credentials.values())

    def keys(self, bucket: str) -> list[str]:
        """Every key of a bucket."""
        return [one["Key"] for one in self.client().list_objects_v2(Bucket=bucket).get("Contents", ())]

    def backdate(self, bucket: str, containing: str, at: datetime) -> None:
        """Make objects look as if they had been put at another time."""
        keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys
        for key in list(keys.keys()):
            if containing in key:
                keys[key].last_modified = at.astimezone(UTC).replace(tzinfo=None)


@contextmanager
def s3() -> Iterator[S3Server]:
    """A server on a free loopback port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()


@functools.cache
def _client(url: str, region: str, key: str, secret: str) -> Any:
    return boto3.client("s3", endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret)
