#!/bin/sh
# Builds the OpenTelemetry Collector that tests/collector.py looks for: OTLP in, OTLP out by HTTP and gRPC, nothing else.
# Usage: tools/collector.sh [FOLDER]    FOLDER: ~/.cache/perfagent-stack/collector-0.159.0 when left out.
# Needs Go; does nothing where the binary is there already. GOFLAGS=-p=1 leaves the other cores alone.
set -eu

version=0.159.0
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/perfagent-stack/collector-$version}
binary=$folder/otelcol-perfagent

if [ -x "$binary" ]; then
    echo "$binary is there"
    exit 0
fi
command -v go >/dev/null || {
    echo "tools/collector.sh: no Go compiler on PATH; install Go 1.25 or newer from https://go.dev/dl/" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"

# The component versions come in pairs: what is stable (v1.x) and what is not (v0.x) of one release.
cat >"$work/manifest.yaml" <<MANIFEST
dist:
  name: otelcol-perfagent
  description: OTLP in, OTLP out
  version: $version
  output_path: $work/build
  cgo_enabled: false
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$version
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter v$version
  - gomod: go.opentelemetry.io/collector/exporter/otlphttpexporter v$version
MANIFEST

GOBIN=$work/bin go install "go.opentelemetry.io/collector/cmd/builder@v$version"
"$work/bin/builder" --config "$work/manifest.yaml"
mv "$work/build/otelcol-perfagent" "$binary.$$"
mv "$binary.$$" "$binary" # whole or not at all: a test may look meanwhile
echo "$binary"
