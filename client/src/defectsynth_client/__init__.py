"""Python client of defectsynth: upload defect images, adapt, generate, measure.

>>> from defectsynth_client import Client
>>> with Client() as client:  # doctest: +SKIP
...     dataset = client.upload("images", name="line 3")
...     adaptation = client.wait(client.adapt(dataset.id), print)
"""

from defectsynth_client.announcing import Delivery, DeliveryState, Webhook, WebhookState, WebhookWithSecret
from defectsynth_client.client import AsyncClient, Client
from defectsynth_client.errors import (
    AnswerUnreadable,
    ApiError,
    Conflict,
    DefectsynthError,
    DownloadDamaged,
    Gone,
    LimitReached,
    NotAllowed,
    NotFound,
    Refused,
    ServiceFailed,
    Unreachable,
    WaitedTooLong,
    WorkFailed,
)
from defectsynth_client.models import (
    Adaptation,
    Adapter,
    Dataset,
    Decision,
    Decisions,
    DecisionState,
    Evaluation,
    Generation,
    Job,
    RealImage,
    Receipt,
    Recognition,
    State,
    SyntheticImage,
)
from defectsynth_client.plant import BaseModelEntry, ClassifierEntry, ExtractorEntry, Readiness, Worker
from defectsynth_client.proposals import GenerationProposal, Preflight, TopUp
from defectsynth_client.reports import GenerationReport, RecognitionReport
from defectsynth_client.requests import (
    AdaptationSettings,
    GateSettings,
    GenerationSettings,
    RecognitionSettings,
    dataset_images,
    generation_images,
)
from defectsynth_client.retrying import Retries
from defectsynth_client.uploading import NewImage

__all__ = [
    "Adaptation",
    "AdaptationSettings",
    "Adapter",
    "AnswerUnreadable",
    "ApiError",
    "AsyncClient",
    "BaseModelEntry",
    "ClassifierEntry",
    "Client",
    "Conflict",
    "Dataset",
    "Decision",
    "DecisionState",
    "Decisions",
    "DefectsynthError",
    "Delivery",
    "DeliveryState",
    "DownloadDamaged",
    "Evaluation",
    "ExtractorEntry",
    "GateSettings",
    "Generation",
    "GenerationProposal",
    "GenerationReport",
    "GenerationSettings",
    "Gone",
    "Job",
    "LimitReached",
    "NewImage",
    "NotAllowed",
    "NotFound",
    "Preflight",
    "Readiness",
    "RealImage",
    "Receipt",
    "Recognition",
    "RecognitionReport",
    "RecognitionSettings",
    "Refused",
    "Retries",
    "ServiceFailed",
    "State",
    "SyntheticImage",
    "TopUp",
    "Unreachable",
    "WaitedTooLong",
    "Webhook",
    "WebhookState",
    "WebhookWithSecret",
    "WorkFailed",
    "Worker",
    "dataset_images",
    "generation_images",
]
