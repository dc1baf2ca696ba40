"""Identifiers: a prefix that tells the kind, then 128 random bits in hexadecimal."""

import secrets
from typing import NewType

TenantId = NewType("TenantId", str)
DatasetId = NewType("DatasetId", str)
VersionId = NewType("VersionId", str)
ImageId = NewType("ImageId", str)
AdaptationId = NewType("AdaptationId", str)
AdapterId = NewType("AdapterId", str)
GenerationId = NewType("GenerationId", str)
EvaluationId = NewType("EvaluationId", str)
RecognitionId = NewType("RecognitionId", str)
JobId = NewType("JobId", str)
KeyId = NewType("KeyId", str)
WebhookId = NewType("WebhookId", str)
DeliveryId = NewType("DeliveryId", str)
EventId = NewType("EventId", str)
Sha256 = NewType("Sha256", str)

#: The tenant of embedded mode and of the admin key.
DEFAULT_TENANT = TenantId("default")


def new_id(prefix: str) -> str:
    """A fresh id such as ``job_3f…``; prefixes: ds, dsv, img, adn (adaptation), adp (adapter), gen, evl, rec, job.

    Also key (of the API), whk (webhook), dlv (delivery), evt (event).
    """
    return f"{prefix}_{secrets.token_hex(16)}"
