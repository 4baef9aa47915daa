"""Looks at one program closely, for somebody who asks: its processes over time, and where its memory comes from."""
