"""OTLP over HTTP: the protobuf encoder without protobuf, and the connection that carries it."""
