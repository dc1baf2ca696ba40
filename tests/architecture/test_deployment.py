"""Without a container engine: every path, command, setting and secret that the docker files name is looked up."""

import re
import runpy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import typer
import yaml

from tests.architecture.sources import ROOT

DOCKERFILES = ("api.Dockerfile", "worker.Dockerfile")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^}]*))?\}")
SECRET = re.compile(r"((?<!PER_)KEY|PASSWORD|SECRET|TOKEN)$")


@cache
def compose_text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@cache
def services() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(compose_text())["services"]
    return loaded


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, continuation lines joined and comments left out."""
    text = (ROOT / "docker" / dockerfile).read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def commands() -> dict[str, list[str]]:
    """Every command line that starts one of our own processes, by the place that names it."""
    given = {name: entry.get("command", []) for name, entry in services().items()}
    found = {name: command for name, command in given.items() if command[:1] == ["defectsynth"]}
    for dockerfile in DOCKERFILES:
        [line] = [rest for word, rest in instructions(dockerfile) if word == "CMD"]
        found[dockerfile] = yaml.safe_load(line)
    return found


def subcommands() -> dict[str, Any]:
    from service.cli import app

    found: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


def test_the_box_has_its_six_services_and_two_that_watch_where_asked_for() -> None:
    watching = {name for name, entry in services().items() if entry.get("profiles") == ["monitoring"]}
    assert watching == {"prometheus", "grafana"}
    assert set(services()) - watching == {"api", "worker", "worker-cpu", "maintenance", "redis", "postgres"}


def test_every_build_names_a_dockerfile_and_a_context_that_exist() -> None:
    builds = [entry["build"] for entry in services().values() if "build" in entry]
    assert builds
    for build in builds:
        assert (ROOT / build["context"]).is_dir()
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()


def test_every_image_that_is_not_pulled_is_built_by_a_service() -> None:
    built = {entry["image"] for entry in services().values() if "build" in entry}
    ours = {entry["image"] for entry in services().values() if entry["image"].startswith("defectsynth")}
    assert ours == built


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_every_file_that_an_image_copies_exists_and_is_not_ignored(dockerfile: str) -> None:
    admitted = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    for arguments in (rest for word, rest in instructions(dockerfile) if word == "COPY" and "--from" not in rest):
        for source in arguments.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert {f"!{source}", f"!{source}/"} & admitted, f"{source} is not admitted by .dockerignore"


@pytest.mark.parametrize("place", sorted(commands()))
def test_every_command_and_option_that_starts_a_process_exists(place: str) -> None:
    program, name, *options = commands()[place]
    assert program == "defectsynth"
    assert name in subcommands()
    accepted = {option for parameter in subcommands()[name].params for option in parameter.opts}
    assert set(options) <= accepted


def test_a_workers_health_check_wants_a_row_of_its_own_host_that_is_fresh(tmp_path: Path) -> None:
    from service.settings import Settings
    from service.store.database import Database
    from service.store.sweep import LAST_SWEEP
    from service.store.tables import SweepRow, WorkerRow

    complaint = runpy.run_path(str(ROOT / "docker" / "health.py"))["complaint"]
    settings = Settings(data_dir=tmp_path)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    with database.transaction() as session:
        session.add(WorkerRow(id="press-7-abc", device="cpu", rss_bytes=1, seen_at=now))
        session.add(SweepRow(id=LAST_SWEEP, swept_at=now))
    database.close()
    assert complaint("worker", settings, "press", now + timedelta(seconds=3)) is None
    assert "ago" in complaint("worker", settings, "press", now + timedelta(minutes=3))
    assert complaint("worker", settings, "pres", now) == "the worker last reported: never"
    assert complaint("maintenance", settings, "elsewhere", now) is None
    assert "180 s ago" in complaint("maintenance", settings, "elsewhere", now + timedelta(minutes=3))


def test_every_service_is_health_checked_by_compose_or_by_its_image() -> None:
    for name, entry in services().items():
        dockerfile = Path(entry.get("build", {}).get("dockerfile", "")).name
        in_image = bool(dockerfile) and "HEALTHCHECK" in {word for word, _ in instructions(dockerfile)}
        assert "healthcheck" in entry or in_image, name


def test_every_service_that_is_waited_for_exists() -> None:
    for entry in services().values():
        assert set(entry.get("depends_on", {})) <= set(services())


def test_every_named_volume_is_declared() -> None:
    declared = set(yaml.safe_load(compose_text())["volumes"])
    used = {mount.split(":")[0] for entry in services().values() for mount in entry.get("volumes", [])}
    files = {source for source in used if source.startswith("./")}
    assert used - files == declared
    assert all((ROOT / source).exists() for source in files)


def test_secrets_are_required_and_never_defaulted() -> None:
    secrets = [match for match in VARIABLE.finditer(compose_text()) if SECRET.search(match[1])]
    assert {match[1] for match in secrets} == {"DEFECTSYNTH_ADMIN_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    for match in secrets:
        assert match[2] == ":?", f"{match[0]} does not stop compose when it is missing"
        assert match[3], f"{match[0]} does not say what to set"


def test_the_example_environment_names_every_variable_and_fills_in_no_secret() -> None:
    example = (ROOT / "docker" / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(?:# )?([A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
    passed_on = {name for entry in services().values() for name, value in environment(entry).items() if value is None}
    assert {match[1] for match in VARIABLE.finditer(compose_text())} | passed_on == set(given)
    assert {name: value for name, value in given.items() if SECRET.search(name) and value} == {}


def environment(entry: dict[str, Any]) -> dict[str, str | None]:
    given: dict[str, str | None] = entry.get("environment", {})
    return given


def test_every_setting_that_the_docker_files_give_is_a_setting_of_the_service() -> None:
    from service.settings import Settings
    from worker.settings import WorkerSettings

    in_compose = {name for entry in services().values() for name in environment(entry)}
    in_images = {
        name
        for dockerfile in DOCKERFILES
        for word, rest in instructions(dockerfile)
        if word == "ENV"
        for name in re.findall(r"(\w+)=", rest)
    }
    given = {name for name in in_compose | in_images if name.startswith("DEFECTSYNTH_")}
    known = {f"DEFECTSYNTH_{name.upper()}" for name in Settings.model_fields}
    assert given <= known | {f"DEFECTSYNTH_WORKER_{name.upper()}" for name in WorkerSettings.model_fields}


def test_every_setting_can_be_given_through_compose() -> None:
    from service.settings import Settings
    from worker.settings import WorkerSettings

    in_compose = {name for entry in services().values() for name in environment(entry)}
    known = {f"DEFECTSYNTH_{name.upper()}" for name in Settings.model_fields}
    assert known | {f"DEFECTSYNTH_WORKER_{name.upper()}" for name in WorkerSettings.model_fields} <= in_compose


@pytest.mark.parametrize("name", ["api", "worker", "worker-cpu", "maintenance"])
def test_every_process_of_the_box_accepts_the_settings_that_it_is_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.settings import Settings

    dockerfile = "api.Dockerfile" if services()[name]["image"].startswith("defectsynth-api") else "worker.Dockerfile"
    pairs = [pair for word, rest in instructions(dockerfile) if word == "ENV" for pair in rest.split()]
    given = dict(pair.split("=", 1) for pair in pairs if pair.startswith("DEFECTSYNTH_"))
    for variable, value in environment(services()[name]).items():
        if value is not None:
            given[variable] = VARIABLE.sub("0123456789abcdef" * 4, value)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert sqlalchemy.make_url(settings.sqlalchemy_url).get_dialect().driver == "psycopg"
    assert settings.broker_url is not None
    assert settings.broker_url.startswith("redis://:0123")
    assert settings.data_dir == Path("/data")


def test_the_gpu_is_reserved_by_the_gpu_profile_alone() -> None:
    reserving = {
        name
        for name, entry in services().items()
        if entry.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")
    }
    assert reserving == {"worker"}
    assert services()["worker"]["profiles"] == ["gpu"]
    assert services()["worker-cpu"]["profiles"] == ["cpu"]


def test_the_api_image_installs_no_torch_and_runs_as_an_ordinary_user() -> None:
    runs = " ".join(rest for word, rest in instructions("api.Dockerfile") if word == "RUN")
    assert "'.[api,s3]'" in runs
    assert "worker]" not in runs
    for dockerfile in DOCKERFILES:
        users = [rest for word, rest in instructions(dockerfile) if word == "USER"]
        assert users == ["defectsynth"]
