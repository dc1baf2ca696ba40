import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app


def run(*words: str, **variables: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", **variables})
    return told.exit_code, told.output


def test_a_setting_that_cannot_be_used_is_named_with_its_remedy() -> None:
    status, told = run("serve", DEFECTSYNTH_PORT="eighty")
    assert status == 1
    assert told.startswith("DEFECTSYNTH_PORT: ")
    assert run("api", DEFECTSYNTH_HOST="0.0.0.0") == (1, run("serve", DEFECTSYNTH_HOST="0.0.0.0")[1])
    assert "openssl rand -hex 32" in run("api", DEFECTSYNTH_HOST="0.0.0.0")[1]


def test_the_api_starts_with_what_it_needs_and_never_looks_through_it_for_garbage() -> None:
    """In a fresh interpreter, with a host that it refuses once everything is imported."""
    seldom_needed = ("numpy", "alembic", "celery", "kombu", "boto3", "redis", "torch")
    program = (
        "import gc, sys\nfrom typer.testing import CliRunner\nfrom service.cli import app\n"
        "assert CliRunner().invoke(app, ['api', '--host', '0.0.0.0']).exit_code == 1\n"
        "assert 'service.main' in sys.modules and gc.isenabled() and gc.get_freeze_count() > 50_000\n"
        f"print(*[name for name in {seldom_needed!r} if name in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (outcome.returncode, outcome.stdout.split()) == (0, []), outcome.stderr


@pytest.mark.parametrize(("options", "module"), [((), "worker"), (("--maintenance",), "worker.maintenance")])
def test_the_worker_takes_this_process_over(
    options: tuple[str, ...], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: started.append(words))
    assert run("worker", *options)[0] == 0
    assert started == [[sys.executable, "-m", module]]


def test_a_demo_of_an_unknown_base_model_fails_before_anything_is_written(tmp_path: Path) -> None:
    status, told = run("demo", "--out", str(tmp_path / "out"), "--base-model", "sd99")
    assert status == 1
    assert "'sd99' is not registered; registered: mini" in told
    assert not (tmp_path / "out").exists()


def test_a_demo_makes_at_least_one_image() -> None:
    assert run("demo", "--images", "0")[0] == 2


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(tmp_path: Path) -> None:
    here = {"DEFECTSYNTH_DATA_DIR": str(tmp_path)}
    status, told = run("keys", "create", "line 3", "--tenant", "plant-a", "--expires-days", "30", "--json", **here)
    assert status == 0
    made = json.loads(told)
    assert (made["tenant"], made["scopes"], made["name"]) == ("plant-a", ["write"], "line 3")
    listed = run("keys", "list", **here)[1]
    assert made["id"] in listed and made["prefix"] in listed and made["key"] not in listed
    assert run("keys", "revoke", made["id"], **here)[0] == 0
    assert json.loads(run("keys", "list", "--json", **here)[1])[0]["state"] == "revoked"
    status, told = run("keys", "revoke", "key_unknown", **here)
    assert status == 1 and "keys list" in told


def test_keys_are_listed_whole_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    here = {"DEFECTSYNTH_DATA_DIR": str(tmp_path), "COLUMNS": "80"}
    words = ("keys", "create", "line 3 camera", "--tenant", "plant-a", "--scope", "read", "--scope", "write", "--json")
    made = json.loads(run(*words, **here)[1])
    listed = run("keys", "list", **here)[1]
    assert all(whole in listed for whole in (made["id"], "line 3 camera", "plant-a", "read, write", made["prefix"]))
    assert "last used never" in listed
    assert max(map(len, listed.splitlines())) <= 80


def test_a_file_that_is_no_backup_ends_the_command_with_a_reason(tmp_path: Path) -> None:
    here = {"DEFECTSYNTH_DATA_DIR": str(tmp_path / "data")}
    status, told = run("restore", str(tmp_path / "nowhere.tar"), **here)
    assert (status, "nowhere.tar cannot be read" in told) == (1, True)
    (tmp_path / "photo.tar").write_bytes(b"not a tar" * 1000)
    for words in (("restore", "--verify"), ("restore",)):
        status, told = run(*words, str(tmp_path / "photo.tar"), **here)
        assert (status, "cannot be read as a backup" in told) == (1, True)


def test_where_there_is_nothing_to_back_up_no_file_is_left(tmp_path: Path) -> None:
    status, told = run("backup", str(tmp_path / "plant.tar"), DEFECTSYNTH_DATA_DIR=str(tmp_path / "data"))
    assert (status, "nothing to back up" in told) == (1, True)
    assert list(tmp_path.glob("plant*")) == []
    away = {"DEFECTSYNTH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"}
    status, told = run("backup", str(tmp_path / "plant.tar"), **away)
    assert (status, "cannot be used" in told) == (1, True)


def test_without_the_client_a_remote_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("defectsynth_client", "service.cli_remote.doing"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "defectsynth_client", None)
    monkeypatch.setattr("service.cli_remote.doing", None, raising=False)
    monkeypatch.delattr("service.cli_remote.doing")
    status, told = run("status")
    assert (status, "pip install ./client" in told) == (1, True)
