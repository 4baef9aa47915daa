"""What the hub takes in: OTLP by HTTP and gRPC, and measurements of browsers."""
