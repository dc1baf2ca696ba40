"""One split of the few-shot benchmark, from upload to recognition."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import neu_reading
from neu_findings import Findings
from neu_plan import ADAPTED, ARMS, GATED, MODES, UNADAPTED, WHOLE, Plan
from neu_work import Work

from service.api.views import AdaptationView, EvaluationView, GenerationReport, GenerationView, RecognitionView
from service.contracts.adaptations import AdaptationResult
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

    def all(self, upload: Callable[[], str]) -> None:
        """Every stage in turn: what a later one stands on is finished before it begins."""
        self._dataset_id = self._work.uploaded(self._unit("dataset"), upload)
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
            name: self._evaluation(name, {
                "source": "dataset", "dataset_id": self._dataset_id, "class_name": name, "split": "train",
            })
            for name in self._plan.classes
        }  # fmt: skip
        units = {
            self._unit("reference", name): self._submitted(self._unit("reference", name), one, self._unit("dataset"))
            for name, one in asked.items()
        }
        finished = self._work.finished(f"split {self._seed}: scoring the training images", units)
        for unit, evaluation in finished.items():
            name = unit.rpartition("/")[2]
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
            unit: self._work.submitted(
                unit, "/v1/adaptations", AdaptationRequest.model_validate(one), AdaptationView, self._unit("dataset")
            )
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
        unit = self._unit(WHOLE, GATED, "images")
        adapted = self._unit(WHOLE, "adaptation")
        counts = {adapter.class_name: self._plan.num_synthetic for adapter in whole.adapters}
        made = self._generated(unit, adapted, whole.id, counts, {}, {})
        finished = self._work.finished(f"split {self._seed}: judged images", {unit: made})
        if unit not in finished:
            return
        generation = finished[unit]
        report = self._work.client.get(f"/v1/generations/{generation.id}/report", GenerationReport)
        self._findings.gated += neu_reading.gated(self._seed, report)
        self._score_rows({(WHOLE, GATED): {unit: generation}})
        asked = {
            "dataset_id": self._dataset_id, "generation_id": generation.id,
            "settings": self._plan.recognition_settings() | {"seed": self._seed},
        }  # fmt: skip
        request = RecognitionRequest.model_validate(asked)
        recognition = self._unit(WHOLE, GATED, "recognition")
        posted = self._work.submitted(recognition, "/v1/recognitions", request, RecognitionView, unit)
        for ended in self._work.finished(f"split {self._seed}: recognition", {recognition: posted}).values():
            if recognised := neu_reading.recognised(self._seed, ended):
                self._findings.recognised.append(recognised)
        self._keep()

    def _rows(self, adaptations: dict[str, AdaptationView]) -> None:
        """The ablation: what each row makes that is no copy, and its scores."""
        rows: dict[Row, dict[str, GenerationView | None]] = {}
        for mode in MODES:
            for arm, adaptation in adaptations.items():
                counts = {adapter.class_name: self._plan.images for adapter in adaptation.adapters}
                unit, adapted = self._unit(arm, mode, "images"), self._unit(arm, "adaptation")
                made = self._generated(unit, adapted, adaptation.id, counts, {"mode": mode}, _COPY_GATE_ALONE)
                rows[arm, mode] = {unit: made}
            rows[UNADAPTED, mode] = dict(self._unadapted(mode, adaptations[WHOLE]))
        units = {unit: made for row in rows.values() for unit, made in row.items()}
        finished = self._work.finished(f"split {self._seed}: images of the ablation", units)
        made_of = {row: {unit: finished[unit] for unit in of if unit in finished} for row, of in rows.items()}
        self._score_rows({(arm, mode): made_of[arm, mode] for arm in ARMS for mode in MODES if (arm, mode) in made_of})
        self._keep()

    def _unadapted(self, mode: str, whole: AdaptationView) -> Iterator[tuple[str, GenerationView | None]]:
        """Without an adapter there is nothing to search for: each class takes the settings that both stages found.

        Named in the request, because the service gives an unadapted generation nothing of a search.
        """
        for job in whole.jobs:
            if isinstance(job.result, AdaptationResult):
                found = job.result.found.model_dump(exclude={"lora_scale"}) if job.result.found else {}
                chosen = found | {"mode": mode, "unadapted": True}
                unit = self._unit(UNADAPTED, mode, "images", job.class_name)
                adapted, counts = self._unit(WHOLE, "adaptation"), {job.class_name: self._plan.images}
                yield unit, self._generated(unit, adapted, whole.id, counts, chosen, _COPY_GATE_ALONE)

    def _score_rows(self, images: dict[Row, dict[str, GenerationView]]) -> None:
        """Posted all, then read all, so that the worker never waits for this process."""
        made: dict[Row, dict[str, GenerationResult]] = {row: {} for row in images}
        units: dict[str, EvaluationView | None] = {}
        for row, generations in images.items():
            for images_unit, generation in generations.items():
                results = _results(generation)
                made[row] |= results
                self._download_sheets(generation, results, ", ".join(row))
                for name in results:
                    unit = self._unit(*row, "evaluation", name)
                    units[unit] = self._submitted(unit, self._evaluation(name, {
                        "source": "generation", "generation_id": generation.id, "class_name": name,
                    }), images_unit)  # fmt: skip
        finished = self._work.finished(f"split {self._seed}: scoring", units)
        for row, of_row in made.items():
            for name, result in of_row.items():
                evaluation = finished.get(self._unit(*row, "evaluation", name))
                if evaluation is None:
                    continue
                cell = neu_reading.cell(self._seed, *row, name, evaluation, result)
                if cell is not None:
                    self._findings.cells.append(cell)

    def _generated(
        self, unit: str, adapted: str, adaptation_id: str, counts: dict[str, int], settings: dict[str, Any],
        gates: dict[str, Any],
    ) -> GenerationView | None:  # fmt: skip
        """A generation of some classes by the adapters of the unit ``adapted``; what is left out is as found."""
        asked: dict[str, Any] = {"adaptation_id": adaptation_id, "num_images": counts, "seed": self._seed}
        asked |= ({"settings": settings} if settings else {}) | ({"gates": gates} if gates else {})
        request = GenerationRequest.model_validate(asked)
        return self._work.submitted(unit, "/v1/generations", request, GenerationView, adapted)

    def _evaluation(self, class_name: str, other: dict[str, str]) -> EvaluationRequest:
        real = {"source": "dataset", "dataset_id": self._dataset_id, "class_name": class_name, "split": "test"}
        return EvaluationRequest.model_validate({"real": real, "other": other})

    def _submitted(self, unit: str, request: EvaluationRequest, made_from: str) -> EvaluationView | None:
        return self._work.submitted(unit, "/v1/evaluations", request, EvaluationView, made_from)

    def _download_sheets(self, generation: GenerationView, class_names: Iterable[str], row: str) -> None:
        for name in class_names:
            path = self._sheets / f"{self._seed} - {name} - {row}.png"
            if not path.exists():
                at = f"/v1/generations/{generation.id}/classes/{quote(name)}/contact-sheet"
                self._work.client.download(at, path)

    def _unit(self, *parts: str) -> str:
        return "/".join([str(self._seed), *parts])

    def _keep(self) -> None:
        self._findings.write(self._kept)


def _results(generation: GenerationView) -> dict[str, GenerationResult]:
    """Of the classes whose jobs succeeded."""
    return {job.class_name: job.result for job in generation.jobs if isinstance(job.result, GenerationResult)}
