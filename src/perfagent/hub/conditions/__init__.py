"""Rules of one's own and limits on stored minutes: measured, judged as they come, and replayed as they were."""
