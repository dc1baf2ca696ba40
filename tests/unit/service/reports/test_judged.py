from service.contracts.generations import GateReport
from service.reports.judged import candidates
from tests.fakes import measured


def stands_on(**figures: float) -> str:
    gate = GateReport(name="wrong_class", on=True, figures=figures)
    (line,) = candidates(measured.judging().model_copy(update={"gates": [gate]})).gates
    return line.figures


def test_the_class_gate_is_told_by_the_real_images_it_recognised_and_not_by_a_threshold_in_log_odds() -> None:
    told = stands_on(num_classes=6, num_real=20, recall=0.95, out_of_fold_accuracy=0.9, log_odds_threshold=-62.4)
    assert told == "recognised 19 of 20 unseen real images of the class, and 90 % of those of all 6 classes"


def test_a_class_gate_that_could_not_be_tried_says_what_there_is() -> None:
    assert stands_on(num_classes=1, num_real=20) == "num classes 1, num real 20"
