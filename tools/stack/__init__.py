"""The production stack as processes of this machine, without containers: `python -m tools.stack --help`."""
