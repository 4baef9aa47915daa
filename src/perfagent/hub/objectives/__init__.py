"""Objectives as the hub keeps them: what was declared, what was counted, and what is left of each error budget."""
