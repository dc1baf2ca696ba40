"""What an adaptation's search has tried, to look at: its curve, its trials, and pictures at each strength."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.views import AdaptationView, JobView, TrialExampleView, TrialView
from service.contracts.adaptations import AdaptationResult
from service.contracts.search import SearchReport
from service.reports.adaptation import TrialLine, best_so_far, search_caution, search_sentence, trial_line
from service.reports.wording import figure, percent
from service.web.charts import Chart, quality_chart
from service.web.pictures import Picture, sized


@dataclass(frozen=True)
class Stop:
    """A place of the slider: one trial and what it made. ``verdict``: whether it can be used, in words."""

    number: int
    strength: str
    label: str
    verdict: str
    kind: str
    facts: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Searched:
    """The search of one class, so far. ``start``: where the slider stands at first; ``seen``: changes with the rest."""

    class_name: str
    anchor: str
    seen: str
    is_final: bool
    sentence: str
    caution: str | None
    chart: Chart | None
    lines: Sequence[TrialLine]
    stops: Sequence[Stop]
    start: int


def searched(view: AdaptationView, job: JobView, number: int) -> Searched:
    """The search of the class of ``job``, the ``number``-th of the adaptation."""
    trials = view.trials.get(job.class_name, [])
    report = job.result.search if isinstance(job.result, AdaptationResult) else None
    best = report.best if report is not None else best_so_far(trials)
    stops = _stops(trials, best)
    return Searched(
        class_name=job.class_name,
        anchor=f"search-{number}",
        seen=f"search {number} {len(trials)} {job.state.value}",
        is_final=job.state.is_final,
        sentence=search_sentence(trials, report, best) if trials else _nothing(view, job),
        caution=search_caution(report),
        chart=_chart(trials, best, report),
        lines=[trial_line(trial, best) for trial in trials],
        stops=stops,
        start=next((place for place, stop in enumerate(stops) if stop.number == best), 0),
    )


def _nothing(view: AdaptationView, job: JobView) -> str:
    if view.settings.search.max_trials == 0:
        return "No search was asked for: a generation uses the base model's settings."
    if job.state.is_final:
        return "Nothing was tried."
    return "The search begins when the training is done."


def _chart(trials: Sequence[TrialView], best: int | None, report: SearchReport | None) -> Chart | None:
    if report is None:
        return quality_chart(trials, best, None, None)
    return quality_chart(trials, best, report.real_floor, report.copy_floor)


def _stops(trials: Sequence[TrialView], best: int | None) -> list[Stop]:
    return [_stop(trial, best) for trial in sorted(trials, key=lambda trial: (trial.strength, trial.number))]


def _stop(trial: TrialView, best: int | None) -> Stop:
    kind = "best" if trial.number == best else "good" if trial.feasible else "copying"
    verdict = {"best": "the best", "good": "usable", "copying": trial.remark or "too many copies"}[kind]
    spread = f" ± {figure(trial.kid_std, 2)}" if trial.kid_std is not None else ""
    facts = [
        ("KID", f"{figure(trial.kid)}{spread}"),
        ("copies", percent(trial.share_copies)),
        ("guidance", f"{trial.guidance_scale:.3g}"),
        ("LoRA scale", f"{trial.lora_scale:.3g}"),
        ("sources", "spliced" if trial.splice_sources else "one each"),
        ("checkpoint", trial.checkpoint),
    ]
    strength = f"{trial.strength:.2f}"
    label = f"strength {strength}, trial {trial.number}, {verdict}"
    return Stop(trial.number, strength, label, verdict, kind, facts, [_picture(trial, one) for one in trial.examples])


def _picture(trial: TrialView, example: TrialExampleView) -> Picture:
    alt = f"Example {example.number + 1} of trial {trial.number} at strength {trial.strength:.2f}"
    return Picture(sized(example.links["thumbnail"]), example.links["content"], alt, "")
