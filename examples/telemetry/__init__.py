"""An OTLP receiver and a reading of what it gets that share no code with perfagent, for tests to compare with."""
