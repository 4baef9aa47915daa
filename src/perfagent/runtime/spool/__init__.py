"""Telemetry that no receiver takes, kept on disk until one does: PERFAGENT_SPOOL_DIR.

Imported only where that is set. `segment` is one file of encoded requests, `folder` all files of a service, `delivery`
what moves requests between the pipeline's memory, the disk and the receiver.

Nothing is synchronised to the disk (fsync): what is written survives the end of the process by any signal, and a
machine that loses power may lose what it wrote in the last seconds; a record that is torn is found by its checksum.
"""
