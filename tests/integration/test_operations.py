"""The commands of docs/operations.md, as they stand there."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from service.contracts.ids import DEFAULT_TENANT, DatasetId
from service.settings import Settings
from service.store import datasets
from service.store.database import Database
from service.store.placement import artifact_store
from service.store.tables import ImageRow

ROOT = Path(__file__).resolve().parents[2]


def lines() -> str:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- tests/integration/test_operations.py .*?-->\n```bash\n(.*?)```", page, re.DOTALL)
    return str(block)


def test_a_backup_of_sqlite_and_files_is_restored_into_postgresql_and_s3(
    tmp_path: Path, postgres_database_url: str, s3_settings: Settings
) -> None:
    old = Settings(data_dir=tmp_path / "old")
    database, now = Database(old.sqlalchemy_url), datetime.now(UTC)
    database.migrate()
    stored = artifact_store(old).put_bytes(b"steel")
    with database.transaction() as session:
        datasets.insert_dataset(session, DEFAULT_TENANT, DatasetId("ds_1"), "line 3", now)
        session.add(
            ImageRow(
                id="img_1", tenant_id=DEFAULT_TENANT, dataset_id="ds_1", class_name="pits", filename="0.png",
                sha256=stored.sha256, pixel_sha256=stored.sha256, size_bytes=5, split="train", width_px=1, height_px=1,
                mode="L", created_at=now,
            )
        )  # fmt: skip
    database.close()
    program = f'set -e\ndefectsynth() {{ {sys.executable} -m service.cli "$@"; }}\n{lines()}'
    to_s3 = "DEFECTSYNTH_DATA_DIR=new " + " ".join(
        f"DEFECTSYNTH_{name.upper()}={getattr(s3_settings, name)}"
        for name in ("artifacts_url", "s3_endpoint_url", "s3_region")
    )
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "DEFECTSYNTH_DATA_DIR": str(old.data_dir),
        "NEW_DATABASE_URL": postgres_database_url, "COLUMNS": "200",
    }  # fmt: skip
    program = program.replace("DEFECTSYNTH_DATA_DIR=new", to_s3)
    told = subprocess.run(["bash", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "plant.tar is whole: 2 rows" in told.stdout and "Restored 2 rows" in told.stdout
    target = Database(postgres_database_url)
    with target.reading() as session:
        assert session.get_one(ImageRow, "img_1").created_at == now
    target.close()
    assert artifact_store(s3_settings).path_of(stored.sha256).read_bytes() == b"steel"
    again = subprocess.run(["bash", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (again.returncode, "choose another name" in again.stderr) == (1, True)
