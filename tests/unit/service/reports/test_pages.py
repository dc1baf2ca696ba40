from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.contracts.adaptations import AdaptationParams, AdaptationResult, AdaptationSettings
from service.contracts.datasets import ImageRecord, Split
from service.contracts.generations import GenerationParams, GenerationResult, GenerationSettings
from service.contracts.ids import AdaptationId, AdapterId, DatasetId, GenerationId, ImageId, Sha256, VersionId
from service.contracts.jobs import JobFailure, JobState, Progress
from service.contracts.recognitions import RecognitionResult, Verdict
from service.contracts.requests import RecognitionRequest
from service.contracts.search import SearchTrial
from service.registry import BaseModelEntry
from service.reports.adaptation import adaptation_page
from service.reports.generation import generation_page
from service.reports.judged import MAX_PAIRS
from service.reports.recognition import recognition_page
from service.reports.records import (
    AdaptationClass,
    AdaptationRecord,
    AdapterRecord,
    DatasetRecord,
    GenerationClass,
    GenerationRecord,
    JobRecord,
    RecognitionRecord,
)
from service.reports.rendering import html_of
from tests.fakes import measured
from tests.fakes.reading import check_self_contained, read_page

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
EVIL = "<script>alert(1)</script><img src=//evil.example onerror=alert(1)> & \"quoted\" 'too'"
DATASET = DatasetRecord("ds_1", "line 3", "dsv_1", 2)
ADAPTER = AdapterRecord("adp_1", "adn_1", "mini", "lora@250", "a" * 64, DATASET)
FAILURE = JobFailure(code="out_of_memory", message="The device ran out of memory.", remedy="Lower the batch size.")


def picture(sha256: str, longest_px: int) -> str | None:
    """A stand-in that tells which picture it is of."""
    return f"data:image/jpeg;base64,{sha256[:8]}{longest_px}"


def real_image(filename: str = "coil_7.png") -> ImageRecord:
    return ImageRecord(
        id=ImageId("img_real"), class_name="pits", filename=filename, sha256=Sha256("b" * 64), split=Split.TRAIN,
        group=None, width_px=32, height_px=32, mode="L",
    )  # fmt: skip


def generation(
    result: GenerationResult | None, job: JobRecord | None = None, adapter: AdapterRecord | None = ADAPTER
) -> GenerationRecord:
    job = job or JobRecord("pits", JobState.SUCCEEDED)
    settings = GenerationSettings(**measured.FOUND.model_dump()).model_copy(update={"guidance_scale": 4.5})
    params = GenerationParams(
        generation_id=GenerationId("gen_1"), adapter_id=AdapterId("adp_1"), class_name="pits", num_images=3, seed=11,
        settings=settings, origins=measured.ORIGINS,
    )  # fmt: skip
    return GenerationRecord(
        id="gen_1",
        state=job.state.value,
        seed=7,
        created_at=AT,
        classes=[GenerationClass(job, params, result, adapter)],
        base_models={"mini": BaseModelEntry(name="mini", path="mini", revision="r3")},
        real_images={"img_real": real_image()},
    )


def page_of(record: GenerationRecord) -> str:
    return html_of(generation_page(record, picture))


def test_a_generation_page_answers_the_first_question_first_and_shows_what_it_stands_on() -> None:
    page = check_self_contained(page_of(generation(measured.generation_result())))
    words = page.words
    for said in (
        "Yes.", "each was checked, and 7 copies were rejected", "keeps 1.25 times the distance",
        "13 images made (at most 15 allowed), 3 accepted: 23 %.", "It cannot be trusted.", "33.2 to 45.0",
        "0.910 (0.750 to 1.08)", "bilinear to 64 px", "9f2c" * 16, "beside real coil_7.png", "line 3 (version 2)",
        "mini (r3)", "lora@250", "2026-03-04 05:06 UTC", "from sigma_max 1.79 to sigma_min 0.12",
    ):  # fmt: skip
        assert said in words, said
    assert words.index("Yes.") < words.index("Scores") < words.index("Lineage")
    assert len(page.pictures) == 5, "the sheet and two pairs"


def test_a_report_says_what_the_copy_check_of_spliced_images_does_not_tell() -> None:
    result = measured.generation_result()
    spliced = [one.model_copy(update={"second_source_image_id": "img_other"}) for one in result.closest]
    told = page_of(generation(result.model_copy(update={"closest": spliced})))
    assert "compared as wholes" in told and "compared as wholes" not in page_of(generation(result))


def test_a_generation_page_tells_who_decided_each_setting_and_how_to_ask_for_the_images_again() -> None:
    section = generation_page(generation(measured.generation_result()), picture).classes[0]
    origins = {one.name: one.origin for one in section.settings}
    assert origins["strength"] == "found by the search"
    assert origins["guidance_scale"] == "given"
    assert origins["mode"] == "default of the base model"
    assert '"seed": 7' in section.remake.body, "the generation's seed: the class's own is made from it again"
    assert '"guidance_scale": 4.5' in section.remake.body


def test_scores_on_images_of_the_training_are_marked_as_such() -> None:
    result = measured.generation_result(quality=measured.quality(seen=True).model_dump())
    words = read_page(page_of(generation(result))).words
    assert "Cannot be said." in words
    assert "Read with care." in words
    assert "Yes." not in words


def test_fewer_images_than_asked_for_and_warnings_are_said() -> None:
    result = measured.generation_result(num_requested=9, warnings=["3 of 9 images: raise strength."])
    words = read_page(page_of(generation(result))).words
    assert "3 of 9 images." in words
    assert "3 of 9 images: raise strength." in words


def test_a_result_of_an_older_service_without_judging_or_scores_is_still_a_page() -> None:
    result = measured.generation_result(judging=None, quality=None, closest=[], num_requested=None)
    words = check_self_contained(page_of(generation(result, adapter=None))).words
    assert "Nothing was checked for copies" in words
    assert "deleted since" in words


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (JobRecord("pits", JobState.QUEUED), "waiting for a worker"),
        (JobRecord("pits", JobState.CANCELED), "canceled"),
        (
            JobRecord("pits", JobState.RUNNING, Progress(stage="lora", step=1, total=2, fraction=0.4, seconds_left=61)),
            "Running: LoRA, 40 % of the whole, about 1 min 1 s left.",
        ),
        (JobRecord("pits", JobState.FAILED, None, FAILURE), "Lower the batch size."),
    ],
)
def test_an_unfinished_or_failed_class_says_so(job: JobRecord, said: str) -> None:
    words = check_self_contained(page_of(generation(None, job))).words
    assert said in words
    assert "no result" in words
    assert ("unfinished" in words) is (job.state in (JobState.QUEUED, JobState.RUNNING))


def test_nothing_that_a_user_wrote_is_markup() -> None:
    result = measured.generation_result(warnings=[EVIL])
    record = generation(result, adapter=replace(ADAPTER, dataset=replace(DATASET, name=EVIL)))
    named = record.classes[0].params.model_copy(update={"class_name": EVIL})
    record = replace(
        record,
        classes=[replace(record.classes[0], params=named)],
        real_images={"img_real": real_image(EVIL)},
    )
    html = page_of(record)
    assert "<script>alert" not in html
    page = check_self_contained(html)
    assert page.words.count("<script>alert(1)</script>") >= 5
    assert all(str(one["src"]).startswith("data:") for one in page.pictures)


def test_equal_records_give_equal_bytes() -> None:
    record = generation(measured.generation_result())
    assert page_of(record) == page_of(generation(measured.generation_result()))


def test_only_so_many_closest_cases_are_shown_and_pictures_that_are_gone_are_named() -> None:
    closest = [measured.generated(number).model_dump() for number in range(MAX_PAIRS + 5)]
    record = generation(measured.generation_result(closest=closest))
    assert len(generation_page(record, picture).classes[0].outcome.pairs) == MAX_PAIRS  # type: ignore[union-attr]
    words = check_self_contained(html_of(generation_page(record, lambda sha256, px: None))).words
    assert "picture not available" in words


def adaptation(
    result: AdaptationResult | None, trials: Sequence[SearchTrial], job: JobRecord | None = None
) -> AdaptationRecord:
    job = job or JobRecord("pits", JobState.SUCCEEDED)
    params = AdaptationParams(
        adaptation_id=AdaptationId("adn_1"), dataset_version_id=VersionId("dsv_1"), class_name="pits",
        base_model="mini", settings=AdaptationSettings(),
    )  # fmt: skip
    classes = [AdaptationClass(job, params, result, trials)]
    return AdaptationRecord("adn_1", job.state.value, AT, "mini", None, AdaptationSettings(), DATASET, classes)


def test_an_adaptation_page_shows_curves_every_trial_and_why_the_search_stopped() -> None:
    record = adaptation(measured.adaptation_result(), measured.TRIALS)
    html = html_of(adaptation_page(record))
    page = check_self_contained(html)
    for said in (
        "Trial 1 was chosen.", "lower KID by 0.0021", "no further gain beyond chance", "3 of 24 images hold NaN",
        "their scores flatter", "Trained on 16 images in 10 min 57 s",
        "strength 0.55", "num_inference_steps 30", "splice_sources no",
    ):  # fmt: skip
        assert said in page.words, said
    assert page.tags.count("svg") == 4, "two stages, KID and FID"
    assert 'aria-label="KID of 4 trials by strength; chosen is trial 1 at strength 0.55"' in html
    assert html == html_of(adaptation_page(record))


def test_a_running_adaptation_shows_the_trials_so_far_and_which_leads() -> None:
    job = JobRecord("pits", JobState.RUNNING, Progress(stage="search", step=2, total=12, fraction=0.7))
    page = check_self_contained(html_of(adaptation_page(adaptation(None, measured.TRIALS[:2], job))))
    assert "2 trials so far, 1 with few enough copies; trial 1 leads." in page.words
    assert page.tags.count("svg") == 2
    nothing = check_self_contained(html_of(adaptation_page(adaptation(None, [], job))))
    assert "Search for" not in nothing.words


def test_a_search_that_found_nothing_usable_says_so() -> None:
    result = measured.adaptation_result()
    search = result.search.model_copy(update={"best": None, "stopped_because": "budget"})  # type: ignore[union-attr]
    result = result.model_copy(update={"search": search, "found": None})
    words = read_page(html_of(adaptation_page(adaptation(result, measured.TRIALS)))).words
    assert "4 trials, none of which can be used" in words


def recognition(result: RecognitionResult | None, job: JobRecord | None = None) -> RecognitionRecord:
    job = job or JobRecord("pits, scale", JobState.SUCCEEDED)
    request = RecognitionRequest(dataset_id=DatasetId("ds_1"), generation_id=GenerationId("gen_1"))
    images = {"img_test": real_image(EVIL)}
    return RecognitionRecord("rec_1", job.state.value, AT, request, job, result, DATASET, images)


def test_a_recognition_page_says_its_verdict_large_and_shows_what_it_stands_on() -> None:
    html = html_of(recognition_page(recognition(measured.recognition_result(sentence=EVIL)), picture))
    page = check_self_contained(html)
    for said in (
        "Gain shown", EVIL, "+15.0", "+5.0 to +24.0", "the interval holds 0", "Left out:", "16 / 8 / 10", "90 %",
        "small_resnet", "95.0 %", '"generation_id": "gen_1"',
    ):  # fmt: skip
        assert said in page.words, said
    assert page.tags.count("svg") == 3
    assert html == html_of(recognition_page(recognition(measured.recognition_result(sentence=EVIL)), picture))


def test_where_nothing_can_be_concluded_no_interval_lift_or_picture_looks_as_if() -> None:
    result = measured.recognition_result(sentence="The classifier did not learn to tell the classes apart.")
    shown, hidden = (
        check_self_contained(html_of(recognition_page(recognition(one), picture)))
        for one in (result, result.model_copy(update={"is_inconclusive": True, "verdict": Verdict.NO_GAIN_SHOWN}))
    )
    for said in (
        "95 %",
        "91.0 to 98.0 %",
        "percentage points, paired",
        "+5.0 to +24.0",
        "Images that the arms disagree",
    ):
        assert said in shown.words and said not in hidden.words, said
    assert "svg" not in hidden.tags
    assert "Nothing can be concluded" in hidden.words and "No gain shown" not in hidden.words
    for said in ("did not learn to tell", "95.0 %", "Which class is taken for which"):
        assert said in hidden.words, said


def test_a_recognition_without_a_result_says_why() -> None:
    words = check_self_contained(
        html_of(recognition_page(recognition(None, JobRecord("", JobState.FAILED, None, FAILURE)), picture))
    ).words
    assert "The device ran out of memory." in words
    assert "no verdict yet" in words
