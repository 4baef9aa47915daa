"""Load: events and requests at a rate that does not wait for who takes them; a tool of the command line alone.

Who sends the next request when the last one was answered measures a slow server by few requests, and calls it fast
("coordinated omission"). Here each has its time beforehand, and its latency counts from that time.
"""
