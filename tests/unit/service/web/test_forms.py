"""From a form's fields to the requests that the API takes."""

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData

from service.web.adapting import adaptation_request
from service.web.forms import Form
from service.web.generating import generation_request


def form(*fields: tuple[str, str]) -> Form:
    return Form(FormData(fields), "/adaptations")


def test_what_is_left_empty_is_left_to_the_base_model() -> None:
    sent = form(
        ("dataset_id", "ds_1"), ("classes", "pits"), ("classes", "rust.2"), ("settings.lora.steps", "40"),
        ("settings.lora.rank", " "), ("settings.seed", ""), ("once", "a"),
    )  # fmt: skip
    request = adaptation_request(sent)
    assert request.classes == ["pits", "rust.2"]
    assert request.settings.model_dump(exclude_unset=True) == {"lora": {"steps": 40}}
    assert request.base_model == "mini"


def test_a_class_may_have_dots_and_one_without_images_is_left_out() -> None:
    sent = form(
        ("adaptation_id", "adn_1"), ("num_images.rust.2", "12"), ("num_images.pits", "0"), ("gates", "copies"),
        ("settings.strength", "0.4"), ("settings.splice_sources", "false"), ("settings.lora_scale", ""),
    )  # fmt: skip
    request = generation_request(sent)
    assert request.num_images == {"rust.2": 12}
    assert request.settings.model_dump(exclude_unset=True) == {"strength": 0.4, "splice_sources": False}
    assert (request.gates.copies, request.gates.outliers) == (True, False)


@pytest.mark.parametrize("number", ["-1", "1e3", "many", "1.5"])
def test_a_number_that_is_none_is_refused_under_its_field(number: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        generation_request(form(("adaptation_id", "adn_1"), ("num_images.pits", number)))
    assert "pits" in {part for one in refused.value.errors() for part in one["loc"]}
