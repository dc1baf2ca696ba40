"""One split of the few-shot benchmark, from upload to recognition."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import neu_reading
from neu_findings import Findings
from neu_plan import ADAPTED, ARMS, GATED, MODES, UNADAPTED, WHOLE, Plan
from neu_work import Work

from service.api.views import AdaptationView, EvaluationView, GenerationReport, GenerationView, RecognitionView
from service.contracts.evaluations import EvaluationRequest
from service.contracts.generations import GenerationResult
from service.contracts.requests import AdaptationRequest, GenerationRequest, RecognitionRequest

#: An arm and a mode.
Row = tuple[str, str]

_COPY_GATE_ALONE = {"wrong_class": False, "outliers": False}


class SplitRun:
    """Does, or goes on with, one split; adds to ``findings`` and keeps them after every stage."""

    def __init__(self, seed: int, plan: Plan, work: Work, sheets: Path, findings: Findings, kept: Path) -> None:
        self._seed, self._plan, self._work = seed, plan, work
        self._sheets, self._findings, self._kept = sheets, findings, kept
        self._dataset_id = ""

    def all(self, archive: Callable[[], Path]) -> None:
        """Every stage in turn: what a later one stands on is finished before it begins."""
        self._dataset_id = self._work.uploaded(f"{self._seed}/dataset", f"split {self._seed}", archive).id
        self._reference()
        adaptations = self._adaptations()
        if WHOLE not in adaptations:
            self._work.say(f"split {self._seed}: nothing was adapted; see the service's log")
            return
        self._recognition(adaptations[WHOLE])
        self._rows(adaptations)

    def _reference(self) -> None:
        """The training images themselves against the test images: what showing nothing new would score."""
        asked = {
            f"{self._seed}/reference/{name}": self._evaluation(name, {
                "source": "dataset", "dataset_id": self._dataset_id, "class_name": name, "split": "train",
            })
            for name in self._plan.classes
        }  # fmt: skip
        for name, evaluation in self._evaluated("scoring the training images", asked).items():
            if cell := neu_reading.cell(self._seed, "training images", "", name, evaluation):
                self._findings.reference.append(cell)
        self._keep()

    def _adaptations(self) -> dict[str, AdaptationView]:
        """Each adapted arm's adaptation with its own search."""
        asked = {
            self._unit(arm, "adaptation"): {
                "dataset_id": self._dataset_id,
                "classes": list(self._plan.classes),
                "base_model": self._plan.base_model,
                "settings": self._plan.adaptation_settings(arm),
            }
            for arm in ADAPTED
        }
        units = {
            unit: self._work.submitted(unit, "/v1/adaptations", AdaptationRequest.model_validate(one), AdaptationView)
            for unit, one in asked.items()
        }
        finished = self._work.finished(f"split {self._seed}: adapting", units)
        arms = {arm: finished[unit] for arm in ADAPTED if (unit := self._unit(arm, "adaptation")) in finished}
        for arm, adaptation in arms.items():
            self._findings.found += neu_reading.found(self._seed, arm, adaptation)
        self._keep()
        return {arm: adaptation for arm, adaptation in arms.items() if adaptation.adapters}

    def _recognition(self, whole: AdaptationView) -> None:
        """Judged images of both stages, image-oriented at the found settings, put before a classifier."""
        unit = f"{self._seed}/{WHOLE}/{GATED}/images"
        made = self._generated(unit, whole, self._plan.num_synthetic, {}, {})
        finished = self._work.finished(f"split {self._seed}: judged images", {unit: made})
        if unit not in finished:
            return
        generation = finished[unit]
        report = self._work.client.get(f"/v1/generations/{generation.id}/report", GenerationReport)
        self._findings.gated += neu_reading.gated(self._seed, report)
        self._score_rows({(WHOLE, GATED): generation})
        asked = {
            "dataset_id": self._dataset_id, "generation_id": generation.id,
            "settings": self._plan.recognition_settings() | {"seed": self._seed},
        }  # fmt: skip
        unit = f"{self._seed}/{WHOLE}/{GATED}/recognition"
        request = RecognitionRequest.model_validate(asked)
        posted = self._work.submitted(unit, "/v1/recognitions", request, RecognitionView)
        for ended in self._work.finished(f"split {self._seed}: recognition", {unit: posted}).values():
            if recognised := neu_reading.recognised(self._seed, ended):
                self._findings.recognised.append(recognised)
        self._keep()

    def _rows(self, adaptations: dict[str, AdaptationView]) -> None:
        """The ablation: what each row makes that is no copy, and its scores."""
        units: dict[str, GenerationView | None] = {}
        for arm in ARMS:
            # Without adaptation there is nothing to search for: such a row takes the settings that both stages found.
            adaptation = adaptations.get(WHOLE if arm == UNADAPTED else arm)
            for mode in MODES if adaptation is not None else ():
                assert adaptation is not None
                chosen = {"mode": mode} | ({"unadapted": True} if arm == UNADAPTED else {})
                unit = self._unit(arm, mode, "images")
                units[unit] = self._generated(unit, adaptation, self._plan.images, chosen, _COPY_GATE_ALONE)
        finished = self._work.finished(f"split {self._seed}: images of the ablation", units)
        rows = [(arm, mode) for arm in ARMS for mode in MODES]
        self._score_rows({row: finished[unit] for row in rows if (unit := self._unit(*row, "images")) in finished})
        self._keep()

    def _score_rows(self, images: dict[Row, GenerationView]) -> None:
        """Posted all, then read all, so that the worker never waits for this process."""
        made = {row: _results(generation) for row, generation in images.items()}
        asked: dict[str, EvaluationRequest] = {}
        for row, generation in images.items():
            self._download_sheets(generation, ", ".join(row))
            for name in made[row]:
                asked[self._unit(*row, "evaluation", name)] = self._evaluation(name, {
                    "source": "generation", "generation_id": generation.id, "class_name": name,
                })  # fmt: skip
        units = {unit: self._submitted(unit, request) for unit, request in asked.items()}
        finished = self._work.finished(f"split {self._seed}: scoring", units)
        for row, results in made.items():
            for name, result in results.items():
                evaluation = finished.get(self._unit(*row, "evaluation", name))
                if evaluation is None:
                    continue
                cell = neu_reading.cell(self._seed, *row, name, evaluation, result)
                if cell is not None:
                    self._findings.cells.append(cell)

    def _generated(
        self, unit: str, adaptation: AdaptationView, count: int, settings: dict[str, Any], gates: dict[str, Any]
    ) -> GenerationView | None:
        """A generation of the classes that have an adapter; what it leaves out is as the search found."""
        asked: dict[str, Any] = {
            "adaptation_id": adaptation.id,
            "num_images": {adapter.class_name: count for adapter in adaptation.adapters},
            "seed": self._seed,
        }
        asked |= ({"settings": settings} if settings else {}) | ({"gates": gates} if gates else {})
        return self._work.submitted(unit, "/v1/generations", GenerationRequest.model_validate(asked), GenerationView)

    def _evaluation(self, class_name: str, other: dict[str, str]) -> EvaluationRequest:
        real = {"source": "dataset", "dataset_id": self._dataset_id, "class_name": class_name, "split": "test"}
        return EvaluationRequest.model_validate({"real": real, "other": other})

    def _submitted(self, unit: str, request: EvaluationRequest) -> EvaluationView | None:
        return self._work.submitted(unit, "/v1/evaluations", request, EvaluationView)

    def _evaluated(self, verb: str, asked: dict[str, EvaluationRequest]) -> dict[str, EvaluationView]:
        """By the last part of each unit's name."""
        units = {unit: self._submitted(unit, request) for unit, request in asked.items()}
        finished = self._work.finished(f"split {self._seed}: {verb}", units)
        return {unit.rpartition("/")[2]: evaluation for unit, evaluation in finished.items()}

    def _download_sheets(self, generation: GenerationView, row: str) -> None:
        for name in _results(generation):
            path = self._sheets / f"{self._seed} - {name} - {row}.png"
            if not path.exists():
                at = f"/v1/generations/{generation.id}/classes/{quote(name)}/contact-sheet"
                self._work.client.download(at, path)

    def _unit(self, arm: str, *parts: str) -> str:
        return "/".join([str(self._seed), arm, *parts])

    def _keep(self) -> None:
        self._findings.write(self._kept)


def _results(generation: GenerationView) -> dict[str, GenerationResult]:
    """Of the classes whose jobs succeeded."""
    return {job.class_name: job.result for job in generation.jobs if isinstance(job.result, GenerationResult)}
