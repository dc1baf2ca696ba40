"""Reports as JSON: what was found, class by class, and what it means in words."""

from pydantic import Field

from defectsynth_client.models import Answer, JobFailure, State
from defectsynth_client.quality import GenerationResult, RecognitionResult


class ClassAnswer(Answer):
    """A class in words. ``as_close``, to the real images as these are to each other: yes, no, or cannot be said."""

    as_close: str
    reason: str
    caution: str | None
    copies: str


class GenerationReport(Answer):
    """Quality of a generation, class by class; ``results`` and ``answers`` hold finished classes only."""

    generation_id: str
    state: State
    results: dict[str, GenerationResult]
    answers: dict[str, ClassAnswer] = Field(default_factory=dict)
    failures: dict[str, JobFailure]


class RecognitionReport(Answer):
    """What a recognition found, or why it failed."""

    recognition_id: str
    state: State
    result: RecognitionResult | None
    failure: JobFailure | None
