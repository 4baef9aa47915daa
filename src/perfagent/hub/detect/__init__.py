"""Anomalies and change points of one series of values: needs nothing but the values, and the standard library."""
