"""Results of every kind of job with invented figures, for what only reads them."""

from service.contracts.adaptations import AdaptationResult, CurvePoint
from service.contracts.datasets import Split
from service.contracts.generations import (
    GateReport,
    GeneratedImage,
    GenerationResult,
    GenerationSettings,
    Judging,
    Origin,
)
from service.contracts.ids import AdapterId, ImageId, Sha256
from service.contracts.quality import CopySummary, Estimate, Extractor, Interval, QualityReport, Score
from service.contracts.recognitions import Arm, ArmResult, Lift, RatioTried, RecognitionResult, TellingImage, Verdict
from service.contracts.search import FoundSettings, SearchReport, SearchTrial

EXTRACTOR = Extractor(name="mini", digest="9f2c" * 16, resize_rule="bilinear to 64 px")
FOUND = FoundSettings(strength=0.55, guidance_scale=3.5, lora_scale=1.25, num_inference_steps=30)
#: Of a generation that was asked for with a guidance scale, by an adapter with FOUND.
ORIGINS = {
    **dict.fromkeys(GenerationSettings.model_fields, Origin.BASE_MODEL),
    **dict.fromkeys(FoundSettings.model_fields, Origin.SEARCH),
    "guidance_scale": Origin.CLIENT,
}


def score(kid: float, kid_std: float = 0.004, num: int = 12) -> Score:
    return Score(fid=900 * kid, kid=kid, kid_std=kid_std, num_real=num, num_other=num)


def quality(kid: float = 0.013, floor: float = 0.012, *, seen: bool = False, compared: int = 12) -> QualityReport:
    """Scores of 24 images; ``kid`` and ``floor`` are at ``compared`` images a side, with a spread of 0.004.

    The 95 % interval of their difference reaches 0.006 down and 0.01 up, and up to 0.012 it would count as none.
    """
    above = kid - floor
    return QualityReport(
        class_name="pits",
        extractor=EXTRACTOR,
        score=score(0.0115, num=24),
        fid_interval=Interval(low=33.2, high=45.0),
        kid_interval=Interval(low=0.009, high=0.017),
        density=Estimate(value=0.91, interval=Interval(low=0.75, high=1.08)),
        coverage=Estimate(value=0.81, interval=Interval(low=0.69, high=0.94)),
        matched=score(kid, num=compared).model_copy(
            update={
                "fid_interval": Interval(low=8.1, high=15.3),
                "kid_interval": Interval(low=kid - 0.006, high=kid + 0.01),
            }
        ),
        real_floor=score(floor, num=compared).model_copy(
            update={
                "fid_interval": Interval(low=9.9, high=11.7),
                "kid_interval": Interval(low=floor - 0.002, high=floor + 0.002),
            }
        ),
        kid_above_floor=Estimate(value=above, interval=Interval(low=above - 0.006, high=above + 0.01)),
        real_spread=0.24,
        copy_floor=score(0.006),
        copies=CopySummary(threshold=0.12, num_checked=24, num_copies=2),
        reference_split="train" if seen else "validation",
        seen_by_adaptation=seen,
        notes=["Such scores flatter."] if seen else [],
    )


def judging(*, copies: bool = True) -> Judging:
    return Judging(
        num_candidates=13,
        max_candidates=15,
        num_accepted=3,
        acceptance_rate=0.2308,
        rejected={"copy": 7, "wrong_class": 2, "outlier": 1},
        gates=[
            GateReport(name="copies", on=copies, figures={"feature_threshold": 0.123}),
            GateReport(name="wrong_class", on=False, reason="It cannot be trusted."),
        ],
    )


def generated(number: int = 0, sha256: str = "0" * 64, nearest: str | None = "img_real") -> GeneratedImage:
    return GeneratedImage(
        class_name="pits",
        number=number,
        sha256=Sha256(sha256),
        size_bytes=9,
        width_px=32,
        height_px=32,
        mode="L",
        seed=number,
        source_image_id=ImageId("img_real"),
        candidate=2 * number,
        nearest_image_id=ImageId(nearest) if nearest is not None else None,
        nearest_feature_ratio=1.25 + number,
        nearest_pixel_ratio=2.5,
    )


def generation_result(contact_sheet: str = "0" * 64, **changes: object) -> GenerationResult:
    values = {
        "num_images": 3,
        "num_requested": 3,
        "judging": judging(),
        "closest": [generated(0), generated(1)],
        "stage_seconds": {"generate": 81.4},
        "denoising_steps": 12,
        "sigma_max": 1.79,
        "sigma_min": 0.12,
        "quality": quality(),
        "contact_sheet": contact_sheet,
        "warnings": [],
    }
    return GenerationResult.model_validate(values | changes)


def trial(
    number: int, strength: float, kid: float | None, copies: float = 0.0, remark: str | None = None
) -> SearchTrial:
    return SearchTrial(
        number=number,
        checkpoint="lora@250",
        strength=strength,
        guidance_scale=2.5,
        lora_scale=1.0,
        num_inference_steps=20,
        kid=kid,
        kid_std=0.004 if kid is not None else None,
        fid=900 * kid if kid is not None else None,
        share_copies=copies,
        feasible=copies <= 0.2 and kid is not None,
        num_images=24,
        seconds=21.0,
        remark=remark,
    )


TRIALS = [
    trial(0, 0.2, 0.011, copies=0.9),
    trial(1, 0.55, 0.02),
    trial(2, 0.9, 0.05),
    trial(3, 0.7, None, remark="3 of 24 images hold NaN or infinite values."),
]


def adaptation_result() -> AdaptationResult:
    """Trained on images that the search scored against, too."""
    search = SearchReport(
        trials=TRIALS,
        best=1,
        stopped_because="no_gain_expected",
        expected_gain=0.0021,
        num_images=24,
        max_share_copies=0.2,
        reference_split="train",
        seen_by_adaptation=True,
        extractor=EXTRACTOR,
        real_floor=score(0.012),
        copy_floor=score(0.006),
    )
    curve = [
        CurvePoint(stage=stage, step=10 * step, loss=1 / step)
        for stage in ("textual_inversion", "lora")
        for step in range(1, 31)
    ]
    return AdaptationResult(
        adapter_id=AdapterId("adp_1"),
        num_train_images=16,
        checkpoint="lora@250",
        found=FOUND,
        stage_seconds={"textual_inversion": 61.0, "lora": 184.0, "search": 412.0},
        loss_curve=curve,
        search=search,
    )


def recognition_result(*, image_id: str = "img_test", sentence: str = "5 points more.") -> RecognitionResult:
    """Two classes; the lift over augmentation is shown for accuracy and not for macro F1."""
    confusions = {Arm.REAL_ONLY: [[6, 4], [3, 7]], Arm.REAL_AUGMENTED: [[8, 2], [2, 8]]}
    arms = [
        ArmResult(
            arm=arm,
            ratio=1.0 if arm is Arm.REAL_PLUS_SYNTHETIC else None,
            num_real=32,
            num_synthetic=32 if arm is Arm.REAL_PLUS_SYNTHETIC else 0,
            accuracy=Estimate(value=value, interval=Interval(low=value - 0.04, high=value + 0.03)),
            macro_f1=Estimate(value=value - 0.01, interval=Interval(low=value - 0.05, high=value + 0.02)),
            recall={"pits": value, "scale": value},
            confusion=confusions.get(arm, [[9, 1], [0, 10]]),
            runs_accuracy=[value - 0.01, value + 0.01],
        )
        for arm, value in zip(Arm, (0.65, 0.8, 0.95), strict=True)
    ]
    over = {"arm": Arm.REAL_PLUS_SYNTHETIC, "over": Arm.REAL_AUGMENTED}
    return RecognitionResult(
        classes=["pits", "scale"],
        classifier="small_resnet",
        verdict=Verdict.GAIN_SHOWN,
        sentence=sentence,
        chosen_ratio=1.0,
        selection=[RatioTried(ratio=ratio, num_synthetic=int(32 * ratio), validation_accuracy=0.9) for ratio in (1, 2)],
        arms=arms,
        lifts=[
            Lift(**over, metric="accuracy", value=0.15, interval=Interval(low=0.05, high=0.24)),
            Lift(**over, metric="macro_f1", value=0.02, interval=Interval(low=-0.02, high=0.05)),
        ],
        num_images={name: {Split.TRAIN: 16, Split.VALIDATION: 8, Split.TEST: 10} for name in ("pits", "scale")},
        num_synthetic_images={"pits": 24, "scale": 24},
        telling_images=[
            TellingImage(image_id=ImageId(image_id), class_name="pits", share_right=dict.fromkeys(Arm, 0.5)),
        ],
        stage_seconds={"training": 400.0},
        notes=["Left out: the generation has no class 'rust'."],
    )
