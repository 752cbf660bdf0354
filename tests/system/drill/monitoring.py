"""A live Prometheus and Alertmanager for a drill, and the webhook that hears of alerts. Knows no fault."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx

from headwater.alerting.rendering import groups_of, rules_text, yaml_text
from headwater.alerting.routing import RECEIVERS, alertmanager_config
from headwater.alerting.rules import Scale
from headwater.policy.document import PolicyDocument

GROUP_WAIT: Final = "3s"
"""How long a symptom waits for its cause before anybody is told."""
START_S: Final = 20.0
QUERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Told:
    """One alert in one notification."""

    name: str
    connector: str
    status: str
    receiver: str
    at_s: float

    @property
    def shown(self) -> str:
        """Return the alert with its connector."""
        return f"{self.name}({self.connector})" if self.connector else self.name


class Pager:
    """Hears what Alertmanager tells, at a port of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[Told] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                pager.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                del words

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        """Note one notification."""
        now_s = time.monotonic()
        alerts = json.loads(body)["alerts"]
        with self._lock:
            self._told += [
                Told(
                    one["labels"]["alertname"],
                    one["labels"].get("connector", ""),
                    one["status"],
                    path.strip("/"),
                    now_s,
                )
                for one in alerts
            ]

    def since(self, at_s: float) -> list[Told]:
        """Return what fires and was told since a moment, the dead man's switch left out."""
        with self._lock:
            return [
                one
                for one in self._told
                if one.at_s >= at_s and one.status == "firing" and one.receiver != "deadmans"
            ]

    def heard_switch(self) -> bool:
        """Say whether the dead man's switch was heard at its own receiver, and nowhere else."""
        with self._lock:
            where = {one.receiver for one in self._told if one.name == "HeadwaterDeadMansSwitch"}
        return where == {"deadmans"}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(slots=True)
class Monitoring:
    """Prometheus and Alertmanager with the rules of a policy, their times divided."""

    directory: Path
    targets: Path
    document: PolicyDocument
    scale: Scale
    programs: dict[str, str]
    pager: Pager = field(default_factory=Pager)
    prometheus_url: str = ""
    alertmanager_url: str = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run both while the block runs."""
        prometheus, alertmanager = _free_ports(2)
        self.prometheus_url = f"http://127.0.0.1:{prometheus}"
        self.alertmanager_url = f"http://127.0.0.1:{alertmanager}"
        self._write(alertmanager)
        with ExitStack() as stack:
            stack.callback(self.pager.close)
            self._start(
                stack, "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager",
                f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=",
            )  # fmt: skip
            self._start(
                stack, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                f"--web.listen-address=127.0.0.1:{prometheus}", "--enable-feature=exemplar-storage",
                "--web.console.libraries=.", "--web.console.templates=.", "--rules.alert.resend-delay=1s",
            )  # fmt: skip
            for url in (self.prometheus_url, self.alertmanager_url):
                _await_ready(f"{url}/-/ready")
            yield

    def firing(self) -> set[str]:
        """Return the alerts that fire or are about to, whoever is told of them; the switch left out."""
        told = self._ask("api/v1/alerts")["alerts"]
        names = {f"{one['labels']['alertname']}({one['labels'].get('connector', '')})" for one in told}
        return {name for name in names if not name.startswith("HeadwaterDeadMansSwitch")}

    def up(self) -> int:
        """Return how many targets answer."""
        return sum(one["health"] == "up" for one in self._ask("api/v1/targets")["activeTargets"])

    def query(self, expression: str) -> list[Any]:
        """Return the series of an expression."""
        found: list[Any] = self._ask("api/v1/query", query=expression)["result"]
        return found

    def exemplars(self, expression: str, ago_s: float) -> list[Any]:
        """Return the examples of a metric's samples."""
        now_s = time.time()
        url = f"{self.prometheus_url}/api/v1/query_exemplars"
        query: dict[str, str | float] = {"query": expression, "start": now_s - ago_s, "end": now_s}
        found: list[Any] = httpx.get(url, params=query, timeout=QUERY_S).raise_for_status().json()["data"]
        return found

    def _ask(self, path: str, **query: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.prometheus_url}/{path}", params=query, timeout=QUERY_S).raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data

    def _write(self, alertmanager_port: int) -> None:
        groups = groups_of(self.document, self.scale)
        (self.directory / "rules.yml").write_text(rules_text(groups, self.scale), encoding="utf-8")
        routes = alertmanager_config({name: f"{self.pager.url}/{name}" for name in RECEIVERS}, self.scale)
        for route in (routes["route"], *routes["route"]["routes"]):
            route["group_wait"], route["group_interval"] = GROUP_WAIT, "1s"
        unpacked = Path(self.programs["prometheus-alertmanager"]).parent.parent / "templates"
        for template in unpacked.glob("*.tmpl"):  # an installed Alertmanager has its own
            shutil.copy(template, self.directory)
        (self.directory / "alertmanager.yml").write_text(yaml_text(routes), encoding="utf-8")
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]
            },
            "scrape_configs": [
                {
                    "job_name": "headwater",
                    "file_sd_configs": [{"files": [f"{self.targets}/*.json"], "refresh_interval": "1s"}],
                }
            ],
        }
        (self.directory / "prometheus.yml").write_text(yaml_text(config), encoding="utf-8")

    def _start(self, stack: ExitStack, name: str, *arguments: str) -> None:
        log = stack.enter_context((self.directory / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [self.programs[name], *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_ready(url: str) -> None:
    give_up_at = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(url, timeout=1).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > give_up_at:
            raise AssertionError(f"{url} does not become ready")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
