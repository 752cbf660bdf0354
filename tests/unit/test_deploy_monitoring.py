"""What can be known of the monitoring's files without Grafana, Tempo or a container engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
DEPLOY = ROOT / "deploy"
MONITORING = ("prometheus", "alertmanager", "grafana", "tempo")
SOURCES = DEPLOY / "grafana" / "provisioning" / "datasources" / "headwater.yaml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture
def compose() -> dict[str, Any]:
    """Everything of compose.yaml."""
    whole: dict[str, Any] = _read(DEPLOY / "compose.yaml")
    return whole


@pytest.mark.parametrize("name", MONITORING)
def test_what_is_mounted_is_there(name: str, compose: dict[str, Any]) -> None:
    """A container starts with its files: what it mounts exists here, or is a volume of the file."""
    for mount in compose["services"][name]["volumes"]:
        source = mount.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith("./") else source in compose["volumes"], mount


@pytest.mark.parametrize("name", MONITORING)
def test_monitoring_is_asked_for(name: str, compose: dict[str, Any]) -> None:
    """The product never needs it: it starts with its profile alone."""
    assert compose["services"][name]["profiles"] == ["monitoring"]


def test_everything_listens_on_loopback(compose: dict[str, Any]) -> None:
    """Numbers, alerts and traces are not open to the network."""
    services = compose["services"]
    for name in ("prometheus", "alertmanager"):
        listens = [flag for flag in services[name]["command"] if flag.startswith("--web.listen-address=")]
        assert [flag.partition("=")[2].partition(":")[0] for flag in listens] == ["127.0.0.1"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    tempo = _read(DEPLOY / "tempo.yaml")
    assert {tempo["server"][key] for key in ("http_listen_address", "grpc_listen_address")} == {"127.0.0.1"}
    receivers = tempo["distributor"]["receivers"]["otlp"]["protocols"]
    assert [one["endpoint"].partition(":")[0] for one in receivers.values()] == ["127.0.0.1"]


def test_prometheus_reads_the_folder_that_the_services_write(compose: dict[str, Any]) -> None:
    """Every process is found: one volume, mounted at the folder that both sides name."""
    scrape = _read(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"][0]
    (pattern,) = scrape["file_sd_configs"][0]["files"]
    folder = pattern.rpartition("/")[0]
    for name in ("ingest", "identity", "sync"):
        service = compose["services"][name]
        assert service["environment"]["HEADWATER_METRICS_TARGETS_DIR"] == folder
        assert f"targets:{folder}" in service["volumes"]
    assert f"targets:{folder}:ro" in compose["services"]["prometheus"]["volumes"]


def test_prometheus_tells_the_alertmanager_of_the_same_file(compose: dict[str, Any]) -> None:
    """Alerts go where Alertmanager listens, and the rules are those beside it."""
    config = _read(DEPLOY / "prometheus" / "prometheus.yml")
    (target,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert f"--web.listen-address={target}" in compose["services"]["alertmanager"]["command"]
    assert all((DEPLOY / "prometheus" / name).is_file() for name in config["rule_files"])


def test_a_scrape_job_has_the_name_that_the_alerts_ask_for() -> None:
    """`up{job="headwater"}` is about these targets."""
    assert _read(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"][0]["job_name"] == "headwater"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_a_data_source_that_is_provisioned(path: Path) -> None:
    """Panels name the source by the id that provisioning gives it."""
    known = {source["uid"] for source in _read(SOURCES)["datasources"]}
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} <= known


def test_an_exemplar_leads_to_a_trace_store_that_is_provisioned() -> None:
    """The link from a slow delivery goes to a source of traces."""
    sources = {source["uid"]: source for source in _read(SOURCES)["datasources"]}
    (link,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert link["name"] == "trace_id"
    assert sources[link["datasourceUid"]]["type"] == "tempo"


def test_grafana_finds_the_dashboards_where_they_are_mounted(compose: dict[str, Any]) -> None:
    """The provider's path is the mount of the folder that `make dashboards` writes."""
    provider = _read(DEPLOY / "grafana" / "provisioning" / "dashboards" / "headwater.yaml")["providers"][0]
    mounted = f"./grafana/dashboards:{provider['options']['path']}:ro"
    assert mounted in compose["services"]["grafana"]["volumes"]
