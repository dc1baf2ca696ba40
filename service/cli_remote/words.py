"""How the command line says things."""

from datetime import datetime

from defectsynth_client import Job, State

_STATES = {
    State.QUEUED: ("○", "dim"), State.RUNNING: ("●", "cyan"), State.SUCCEEDED: ("✓", "bold green"),
    State.FAILED: ("✗", "bold red"), State.CANCELED: ("–", "yellow"),
}  # fmt: skip
_STAGES = {
    "caching_latents": "encoding images",
    "textual_inversion": "stage 1, token",
    "lora": "stage 2, LoRA",
    "search": "searching settings",
    "denoising": "making images",
    "quality": "judging",
}


def glyph(state: State) -> str:
    """One character of markup."""
    character, style = _STATES[state]
    return f"[{style}]{character}[/]"


def state_markup(state: State) -> str:
    """The state in its colour."""
    return f"[{_STATES[state][1]}]{state}[/]"


def stage_words(job: Job) -> str:
    """What a job is at, in a few words."""
    if job.state is State.QUEUED:
        return f"{job.queue_position}. in line" if job.queue_position else "in line"
    if job.state is not State.RUNNING or job.progress is None:
        return str(job.state)
    progress = job.progress
    parts = [f"{_STAGES.get(progress.stage, progress.stage.replace('_', ' '))} {progress.step}/{progress.total}"]
    if "loss" in progress.figures:
        parts.append(f"loss {progress.figures['loss']:.3f}")
    if "images_done" in progress.figures:
        made = f" of {progress.figures['num_candidates']:.0f} made" if progress.figures.get("num_candidates") else ""
        parts.append(f"{progress.figures['images_done']:.0f} images{made}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``0:07``, ``12:31``, ``3:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def taken(job: Job) -> str:
    """How long a job took, or has been running."""
    if job.started_at is None:
        return ""
    ended = job.finished_at or datetime.now(job.started_at.tzinfo)
    return duration(max(0.0, (ended - job.started_at).total_seconds()))


def plural(number: int, one: str, many: str = "") -> str:
    """``1 image``, ``2 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
