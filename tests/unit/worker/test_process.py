from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.store.leases import ClaimedJob
from worker.bounds import Bounds
from worker.process import WorkingProcess


@pytest.mark.parametrize(("max_resident_bytes", "taken"), [(None, "another"), (1, None)])
def test_a_process_that_is_to_be_replaced_takes_up_no_company(
    max_resident_bytes: int | None, taken: str | None
) -> None:
    """Otherwise it would go on for as long as generations come, and each of them would fail for want of memory."""
    process: Any = WorkingProcess.__new__(WorkingProcess)
    process._bounds = Bounds(max_resident_bytes=max_resident_bytes)
    process._claim = lambda beside: "another"
    assert process._claim_beside(cast(ClaimedJob, SimpleNamespace(adapter_id="adp_1"))) == taken
