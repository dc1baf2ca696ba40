from dataclasses import replace

import numpy as np
import pytest

from models.diffusion.timesteps import denoising_steps
from models.errors import InvalidSettings
from models.generation.config import MIN_SPLICED_STRENGTH
from models.search.space import Candidate, SearchSpace

SPACE = SearchSpace(("token@50", "lora@100", "lora@200"), strength=(0.02, 0.9), num_inference_steps=(8, 20))


def test_every_candidate_lies_on_the_grid_and_leaves_a_step_to_denoise() -> None:
    rng = np.random.default_rng(0)
    for candidate in (SPACE.drawn(rng) for _ in range(500)):
        assert denoising_steps(candidate.num_inference_steps, candidate.strength) >= 1
        assert candidate.strength == round(candidate.strength, 2)
        for number in (candidate.guidance_scale, candidate.lora_scale):
            assert number == round(round(number * 20) / 20, 2)
        assert SPACE.nearest(candidate) == candidate
        assert all(0 <= place <= 1 for place in SPACE.unit(candidate))


def test_what_is_spliced_is_redrawn() -> None:
    either = replace(SPACE, splice_sources=(False, True))
    rng = np.random.default_rng(0)
    drawn = [either.drawn(rng) for _ in range(500)]
    assert min(one.strength for one in drawn if one.splice_sources) == MIN_SPLICED_STRENGTH
    assert min(one.strength for one in drawn if not one.splice_sources) < 0.1
    assert all(either.nearest(one) == one for one in drawn)
    assert not SPACE.nearest(replace(drawn[0], splice_sources=True)).splice_sources


def test_settings_beyond_the_ranges_are_brought_to_their_ends() -> None:
    found = SPACE.nearest(Candidate("lora@100", 1.0, 9.0, 0.0, 50))
    assert found == Candidate("lora@100", 0.9, 4.0, 0.5, 20)
    assert SPACE.nearest(Candidate("lora@100", 0.5, 2.03, 1.01, 9)) == Candidate("lora@100", 0.5, 2.05, 1.0, 8)
    with pytest.raises(InvalidSettings, match="lora@999"):
        SPACE.nearest(Candidate("lora@999", 0.5, 2.0, 1.0, 20))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("checkpoints", ()),
        ("checkpoints", ("a", "a")),
        ("strength", (0.6, 0.4)),
        ("strength", (0.01, 0.1)),
        ("strength", (0.1, 1.2)),
        ("guidance_scale", (0.5, 2.0)),
        ("lora_scale", (0.51, 0.54)),
        ("num_inference_steps", (20, 10)),
        ("num_inference_steps", ()),
    ],
)
def test_a_space_with_nothing_in_it_is_refused_by_the_name_of_its_field(field: str, value: tuple[object, ...]) -> None:
    settings = {"checkpoints": ("a",), "num_inference_steps": (4,)} | {field: value}
    with pytest.raises(InvalidSettings) as caught:
        SearchSpace(**settings)  # type: ignore[arg-type]
    assert caught.value.field == field
