"""Grafana dashboards as code: `python -m tools.dashboards` writes the JSON of collector/grafana from `boards`."""
