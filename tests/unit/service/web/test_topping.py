"""What is proposed becomes a form that asks for the same."""

import pytest
from starlette.datastructures import FormData

from service.contracts.generations import GateSettings, GenerationSettings
from service.contracts.ids import AdapterId
from service.contracts.requests import GenerationRequest
from service.contracts.topup import RatioSource, TopUp, TopUpClass
from service.errors import InvalidRequest
from service.web.forms import Form
from service.web.generating import generation_request
from service.web.topping import top_up_form, top_up_request


def weak(name: str, num_images: int) -> TopUpClass:
    return TopUpClass(
        class_name=name, recall=0.5, interval=None, num_judged=10, is_weak=True, num_images=num_images, reason="Weak."
    )


def proposal(request: GenerationRequest | None) -> TopUp:
    return TopUp(
        request=request, sentence="Told.", target_recall=0.9, ratio=1.0, ratio_source=RatioSource.USUAL,
        classes=[weak("pits.2", 12), weak("well", 0)],
    )  # fmt: skip


def test_a_proposal_that_is_sent_unchanged_is_the_one_that_was_made() -> None:
    asked = GenerationRequest(
        adapter_ids=[AdapterId("adp_1")], num_images={"pits.2": 12}, settings=GenerationSettings(strength=0.4),
        gates=GateSettings(outliers=False),
    )  # fmt: skip
    form = top_up_form(proposal(asked))
    fields = [*form.hidden, *((f"num_images.{line.class_name}", str(line.num_images)) for line in form.lines)]
    sent = generation_request(Form(FormData(fields), "/generations"))
    assert (sent.adapter_ids, sent.num_images, sent.gates) == (asked.adapter_ids, asked.num_images, asked.gates)
    assert sent.settings.model_dump(exclude_unset=True) == {"strength": 0.4}


def test_where_nothing_is_proposed_there_is_no_form() -> None:
    form = top_up_form(proposal(None))
    assert (form.sentence, list(form.lines)) == ("Told.", [])


def test_a_matrix_whose_corner_is_an_empty_cell_comes_through_the_form() -> None:
    pasted = "\tpits\trust\tok\r\npits\t18\t1\t1\r\nrust\t0\t19\t1\r\nok\t0\t0\t20\r\n"
    sent = Form(FormData([("adaptation_id", "adn_1"), ("judged", pasted), ("other_classes", "ok")]), "/generations")
    request = top_up_request(sent)
    assert request.classes == ["pits", "rust", "ok"]
    assert request.confusion_matrix == [[18, 1, 1], [0, 19, 1], [0, 0, 20]]


@pytest.mark.parametrize("percent", ["0", "101", "nan", "most"])
def test_a_wanted_recall_that_is_none_is_refused_under_its_field(percent: str) -> None:
    sent = Form(FormData([("judged", "pits,0.5"), ("target_percent", percent)]), "/generations")
    with pytest.raises(InvalidRequest) as refused:
        top_up_request(sent)
    assert refused.value.field == "target_percent"
