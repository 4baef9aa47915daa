"""How many examples the fuzzing tests try: few in the gate, many by `make nightly`, which sets a folder for results."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

NIGHTLY = "PERFAGENT_MATRIX_RESULTS" in os.environ
deep = settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
quick = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
