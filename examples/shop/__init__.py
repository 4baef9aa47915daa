"""A small online shop: a FastAPI program with a database, a cache and a payment service, like many others."""
