"""What a signal is: context, spans, metrics, log records, and how they leave the process. Knows no library by name."""
