"""Puts the shop on the path of the tests."""
