"""What an agent exports, received over OTLP and summed up for a reader."""
