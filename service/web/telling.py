"""The API's problems in the page's words: a person has buttons and labels, where a program has paths and fields."""

import re
from typing import Final

from service.api.problems import Problem

_CALL: Final = re.compile(r": (?:GET|POST|PUT|DELETE) /v1/[^\s,]+(?=\.)")
_LABELS: Final = {"in 'other_classes'": 'under "Classes that were never adapted"'}


def in_page_words(problem: Problem) -> Problem:
    """The same problem, with a remedy that can be done on the page."""
    if problem.remedy is None:
        return problem
    remedy = _CALL.sub("", problem.remedy)
    for field, label in _LABELS.items():
        remedy = remedy.replace(field, label)
    return problem.model_copy(update={"remedy": remedy})
