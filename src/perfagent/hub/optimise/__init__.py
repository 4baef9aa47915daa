"""Optimisation rules: what the hub advises where a condition holds, or does, and what came of it."""
