from pathlib import Path

import pytest

from service.embedded import CannotServe, serve
from service.settings import Settings


def test_a_data_folder_that_cannot_be_made_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotServe, match=r"Cannot write to .*file.* DEFECTSYNTH_DATA_DIR"):
        serve(Settings(data_dir=tmp_path / "file"))
    with pytest.raises(CannotServe, match="DEFECTSYNTH_DATA_DIR"):
        serve(Settings(data_dir=tmp_path / "file" / "below"))
