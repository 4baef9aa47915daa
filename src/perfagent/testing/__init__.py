"""Budgets of tests: what an endpoint or a test may use, judged in the run of the tests itself.

Nothing here is imported unless a run asks for it; `perfagent.pytest_plugin` is all that pytest loads.
"""
