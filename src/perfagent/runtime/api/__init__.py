"""The OpenTelemetry API on our runtime; imported after the program has imported the API itself, never before."""
