"""Dashboard, alerts and their page name only what the code exports, and every alert says what to do."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from models.evaluation.gates import RejectReason
from service.contracts.jobs import JobKind
from service.main import create_app
from service.settings import Settings
from tests.architecture.sources import ROOT
from worker.lifecycle import Ending
from worker.metrics import ENDINGS, OF_MAINTENANCE, OF_WORKER, REASONS, Metrics, What

DASHBOARD = ROOT / "docker" / "grafana" / "defectsynth.json"
ALERTS = ROOT / "docker" / "prometheus" / "alerts.yml"
PAGE = ROOT / "docs" / "monitoring.md"
#: What Prometheus and its client libraries give by themselves.
GIVEN = {"up", "process_resident_memory_bytes"}
WORDS = {
    "and", "or", "unless", "by", "without", "ignoring", "on", "sum", "max", "min", "increase", "rate", "time", "topk",
    "histogram_quantile",
}  # fmt: skip


@cache
def exported(folder: Path) -> dict[str, Metric]:
    """Every family of API, worker and maintenance, by name without the suffix of a counter."""
    app = create_app(Settings(data_dir=folder), send=lambda kind, job_id: True)
    registries: list[CollectorRegistry] = [app.state.parts.metrics.registry]
    registries += [Metrics(kinds).registry for kinds in (OF_WORKER, OF_MAINTENANCE)]
    found = {family.name: family for registry in registries for family in registry.collect()}
    app.state.parts.database.close()
    return {name: family for name, family in found.items() if name.startswith("defectsynth_")}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    return exported(tmp_path_factory.mktemp("exported"))


def series(family: Metric) -> set[str]:
    """The names under which its series are scraped."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    return {family.name + ending for ending in endings.get(family.type, ("",))}


def named_in(expression: str) -> set[str]:
    """Metric names in an expression: what is neither a word of the language, nor a label, nor text."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - WORDS


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> dict[str, str]:
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    shown = {f"{one['title']} {target['refId']}": target["expr"] for one in panels for target in one["targets"]}
    return shown | {rule["alert"]: rule["expr"] for rule in rules()}


@pytest.mark.parametrize("place", sorted(expressions()))
def test_every_expression_names_metrics_that_are_exported(place: str, families: dict[str, Metric]) -> None:
    known = {name for family in families.values() for name in series(family)} | GIVEN
    named = named_in(expressions()[place])
    assert named
    assert named <= known
    assert expressions()[place].count("(") == expressions()[place].count(")")


def test_every_metric_is_shown_on_the_dashboard(families: dict[str, Metric]) -> None:
    used = {name for expression in expressions().values() for name in named_in(expression)}
    assert {name for name, family in families.items() if not series(family) & used} == {"defectsynth_build"}


def test_the_dashboard_can_be_imported_and_its_panels_do_not_overlap() -> None:
    loaded = dashboard()
    assert (loaded["uid"], loaded["schemaVersion"] >= 39) == ("defectsynth", True)
    assert [one["type"] for one in loaded["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in loaded["panels"]]
    assert len(ids) == len(set(ids))
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in loaded["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_alert_has_a_severity_and_a_summary_and_a_section_that_says_what_to_do() -> None:
    _, _, page = PAGE.read_text(encoding="utf-8").partition("## Alerts\n")
    sections = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    assert {rule["alert"] for rule in rules()} == sections
    assert {rule["labels"]["severity"] for rule in rules()} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"] for rule in rules())


def test_the_page_lists_every_metric_with_its_kind_and_labels(families: dict[str, Metric]) -> None:
    rows = re.findall(r"^\| `(defectsynth_\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    wanted = {_full(family): (family.type, _labels(family)) for family in families.values()}
    wanted["defectsynth_build_info"] = ("gauge", {"version"})
    assert told.keys() == wanted.keys()
    for name, (kind, labels) in wanted.items():
        assert told[name][0] == kind, name
        assert labels <= told[name][1], name


def _full(family: Metric) -> str:
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


def _labels(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_prometheus_scrapes_what_compose_runs_at_the_ports_that_compose_gives() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    jobs = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in jobs for one in job.get("static_configs", []) for target in one["targets"]}
    targets |= {
        f"{name}:{one['port']}" for job in jobs for one in job.get("dns_sd_configs", []) for name in one["names"]
    }
    given = {name: entry.get("environment", {}) for name, entry in services.items()}
    answering = {"api": "DEFECTSYNTH_PORT", "maintenance": "DEFECTSYNTH_WORKER_MAINTENANCE_METRICS_PORT"}
    answering |= dict.fromkeys(("worker", "worker-cpu"), "DEFECTSYNTH_WORKER_METRICS_PORT")
    assert targets == {f"{name}:{given[name][variable]}" for name, variable in answering.items()}


def test_labels_that_the_parent_knows_without_torch_are_those_of_the_code() -> None:
    assert set(ENDINGS) == set(Ending)
    assert set(REASONS) == set(RejectReason)
    assert set(OF_WORKER[What.ATTEMPT].labels["kind"]) == set(JobKind)
    assert OF_WORKER.keys() | OF_MAINTENANCE.keys() == set(What)
