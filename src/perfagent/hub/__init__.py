"""The hub: receives OTLP, stores it, answers questions about it, and serves the page. A process of its own."""
