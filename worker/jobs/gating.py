"""The gates of a generation, fitted to the real images of its dataset version; the test split is not looked at."""

from collections.abc import Sequence

from models.evaluation.gates import Gates
from models.evaluation.outliers import OutlierGate
from models.progress import Progress
from service.contracts.datasets import ImageRecord, Split
from service.contracts.generations import GateReport, GenerationParams
from worker.real_images import class_gate_of, copy_gate_of
from worker.workshop import Workshop


def fitted_gates(
    params: GenerationParams,
    records: Sequence[ImageRecord],
    workshop: Workshop,
    progress: Progress,
) -> Gates:
    """The gates that the client wants, for images of the class. ``records``: the dataset version's, of all classes.

    What could be copied are the class's train images, in the order of their records.
    """
    extractor, asked = workshop.residents.extractor(), params.gates
    seen = [record for record in records if record.split is not Split.TEST]
    own = [record for record in seen if record.class_name == params.class_name]
    train = [record.sha256 for record in own if record.split is Split.TRAIN]
    progress("gates", 0, 3)
    copy = copy_gate_of(workshop, extractor, train, asked.copy_percentile) if asked.copies else None
    progress("gates", 1, 3)
    klass = class_gate_of(workshop, extractor, seen) if asked.wrong_class else None
    progress("gates", 2, 3)
    outlier = None
    if asked.outliers:
        outlier = OutlierGate.fit(workshop.features.features(extractor, [record.sha256 for record in own]))
    progress("gates", 3, 3)
    return Gates(copy=copy, klass=klass, outlier=outlier, class_name=params.class_name)


def gate_reports(gates: Gates) -> list[GateReport]:
    """Every gate as clients read it."""
    return [
        GateReport(name=state.name, on=state.on, reason=state.reason, figures=dict(state.figures))
        for state in gates.describe()
    ]


def ratio(distance: float, threshold: float | None) -> float | None:
    """``distance`` in units of ``threshold``: below 1 is a copy. None where the threshold decides nothing."""
    return round(distance / threshold, 4) if threshold is not None and threshold > 0 else None
