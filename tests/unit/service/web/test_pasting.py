"""What comes out of a spreadsheet, a CSV file or a notebook is read as the same request."""

import pytest

from service.errors import InvalidRequest
from service.web.pasting import judged

MATRIX = {"classes": ["pits", "rust, old"], "confusion_matrix": [[17, 3], [1, 29]]}


@pytest.mark.parametrize(
    "text",
    [
        'true \\ told,pits,"rust, old"\npits,17,3\n"rust, old",1,29\n',
        "\tpits\trust, old\npits\t17\t3\nrust, old\t1\t29",
        " ; pits ; rust, old \r\npits;17;3\r\n\r\nrust, old;1;29",
        '{"classes": ["pits", "rust, old"], "confusion_matrix": [[17, 3], [1, 29]]}',
    ],
)
def test_a_matrix_is_read_however_it_was_copied(text: str) -> None:
    assert judged(text) == MATRIX


@pytest.mark.parametrize(
    "text",
    ["pits,0.85\nrust,1", "class,recall\npits,85 %\nrust,100%", "pits;0,85\nrust;1", '{"pits": 0.85, "rust": 1}'],
)
def test_recalls_are_shares_or_percent(text: str) -> None:
    assert judged(text) == {"recall_by_class": {"pits": 0.85, "rust": 1.0}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing in it"),
        ("{", "no JSON"),
        ("[[1, 2], [3, 4]]", "not named"),
        (",pits,rust\nrust,1,2\npits,3,4", "the rows rust, pits"),
        (",pits,rust\npits,1,half\nrust,3,4", "'half' is no number of images"),
        ("pits,0.5\nrust,good", "'good' is no recall"),
        ("pits,0.5\nrust,nan", "'nan' is no recall"),
        ("pits,85\nrust,90", "'85' is no recall"),
        ('{"pits": NaN}', "'nan' is no recall"),
        ('{"pits": [1, 2]}', "'[1, 2]' is no recall"),
        ("rubbish\nmore of it", "neither a matrix nor a list of recalls"),
        ("class,recall", "neither a matrix nor a list of recalls"),
        ("x\ty\tz", "neither a matrix nor a list of recalls"),
    ],
)
def test_what_can_be_misread_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        judged(text)
    assert told in refused.value.detail
    assert refused.value.field == "judged"
