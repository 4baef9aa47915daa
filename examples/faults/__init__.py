"""The fault lab: a market in which ten faults can be provoked while it runs, to see whether the hub names them."""
