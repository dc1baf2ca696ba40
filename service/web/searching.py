"""What an adaptation's search has tried, to look at: its curve, its trials, and pictures at each strength."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.views import AdaptationView, JobView, TrialExampleView, TrialView
from service.contracts.adaptations import AdaptationResult
from service.contracts.search import SearchReport
from service.reports.adaptation import TrialLine, best_so_far, search_caution, search_sentence, trial_line
from service.reports.sweep import swept
from service.reports.wording import figure, percent
from service.web.charts import Chart, quality_chart
from service.web.pictures import Picture, sized


@dataclass(frozen=True)
class Stop:
    """One trial and what it made. ``verdict``: whether it can be used, in words."""

    number: int
    strength: str
    label: str
    verdict: str
    kind: str
    facts: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Play:
    """Trials of which one is looked at. ``start``: which at first; ``shared``: what they have in common."""

    kind: str
    shared: Sequence[tuple[str, str]]
    stops: Sequence[Stop]
    start: int


@dataclass(frozen=True)
class Searched:
    """The search of one class, so far. ``seen``: changes with the rest.

    ``plays``: the trials that differ in strength alone, for a slider, and the others, if there are any.
    """

    class_name: str
    anchor: str
    seen: str
    is_final: bool
    sentence: str
    caution: str | None
    chart: Chart | None
    lines: Sequence[TrialLine]
    plays: Sequence[Play]


def searched(view: AdaptationView, job: JobView, number: int) -> Searched:
    """The search of the class of ``job``, the ``number``-th of the adaptation."""
    trials = view.trials.get(job.class_name, [])
    report = job.result.search if isinstance(job.result, AdaptationResult) else None
    best = report.best if report is not None else best_so_far(trials)
    return Searched(
        class_name=job.class_name,
        anchor=f"search-{number}",
        seen=f"search {number} {len(trials)} {job.state.value}",
        is_final=job.state.is_final,
        sentence=search_sentence(trials, report, best) if trials else _nothing(view, job),
        caution=search_caution(report),
        chart=_chart(trials, best, report),
        lines=[trial_line(trial, best) for trial in trials],
        plays=plays(trials, best),
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


def plays(trials: Sequence[TrialView], best: int | None) -> list[Play]:
    """The search's sweep over strength, where nothing else differs; and apart from it the trials that vary the rest.

    What has the chosen trial stands first, so that its pictures are what is seen first.
    """
    if not trials:
        return []
    sweep = swept(trials)
    others = [trial for trial in trials if trial not in sweep]
    found = [Play("sweep", _shared(sweep[0]), [_stop(trial, best, []) for trial in sweep], _start(sweep, best))]
    if others:
        apart = [_stop(trial, best, _shared(trial)) for trial in others]
        found.insert(0 if _is_among(others, best) else 1, Play("apart", [], apart, _start(others, best)))
    return found


def _is_among(trials: Sequence[TrialView], number: int | None) -> bool:
    return any(trial.number == number for trial in trials)


def _shared(trial: TrialView) -> list[tuple[str, str]]:
    return [
        ("guidance", f"{trial.guidance_scale:.3g}"),
        ("LoRA scale", f"{trial.lora_scale:.3g}"),
        ("steps", str(trial.num_inference_steps)),
        ("sources", "spliced" if trial.splice_sources else "one each"),
        ("checkpoint", trial.checkpoint),
    ]


def _start(trials: Sequence[TrialView], best: int | None) -> int:
    """The chosen trial's place; where it is not among these, that of the usable one with the lowest KID."""
    usable = [(trial.kid, place) for place, trial in enumerate(trials) if trial.feasible and trial.kid is not None]
    chosen = next((place for place, trial in enumerate(trials) if trial.number == best), None)
    return chosen if chosen is not None else min(usable, default=(None, 0))[1]


def _stop(trial: TrialView, best: int | None, more: Sequence[tuple[str, str]]) -> Stop:
    kind = "best" if trial.number == best else "good" if trial.feasible else "copying"
    verdict = {"best": "chosen", "good": "usable", "copying": trial.remark or "too many copies"}[kind]
    spread = f" ± {figure(trial.kid_std, 2)}" if trial.kid_std is not None else ""
    facts = [("KID", f"{figure(trial.kid)}{spread}"), ("copies", percent(trial.share_copies)), *more]
    strength = f"{trial.strength:.2f}"
    label = f"strength {strength}, trial {trial.number}, {verdict}"
    return Stop(trial.number, strength, label, verdict, kind, facts, [_picture(trial, one) for one in trial.examples])


def _picture(trial: TrialView, example: TrialExampleView) -> Picture:
    alt = f"Example {example.number + 1} of trial {trial.number} at strength {trial.strength:.2f}"
    return Picture(sized(example.links["thumbnail"]), example.links["content"], alt, "")
