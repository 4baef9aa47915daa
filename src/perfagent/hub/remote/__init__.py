"""What the hub reads where a team keeps its telemetry elsewhere: Prometheus' HTTP API and Jaeger's query API."""
