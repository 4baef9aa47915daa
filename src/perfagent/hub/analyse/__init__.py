"""What the stored telemetry means: pure functions over rows, without a database and without HTTP."""
