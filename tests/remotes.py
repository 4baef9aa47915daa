"""What a hub reads from: the real Collector, gateways, Prometheus and Jaeger, and stand-ins that behave badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.stack.stack import Stack

if TYPE_CHECKING:
    from tools.stack.process import Process

SCRAPE = 2  # seconds; a test does not wait for 15

CONFIG = f"""
global: {{ scrape_interval: {SCRAPE}s }}
otlp:
  promote_resource_attributes:
    [service.name, service.instance.id, service.version, deployment.environment.name, host.name]
storage: {{ tsdb: {{ out_of_order_time_window: 30m }} }}
scrape_configs:
  - job_name: span-metrics
    static_configs: [{{ targets: ["gateway:8889", "gateway-2:8889"] }}]
"""


class Remotes(Stack):
    """The stack without Alertmanager, its Prometheus scraping often and with no rules."""

    @property
    def processes(self) -> list[Process]:
        """What is started, in order."""
        return [self.prometheus, self.jaeger, *self.gateways, self.collector]

    def _render(self) -> None:
        folder = self.directory / "files" / "prometheus"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(self.rendered(CONFIG))
