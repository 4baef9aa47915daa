"""Why the store could not do what it was asked for."""


class StoreUnavailable(Exception):  # noqa: N818 - a state, not a fault of the program
    """The database cannot be opened; the text says why and what to do."""


class StoreFailed(Exception):  # noqa: N818
    """Something could not be written; the text says why and what to do. Nothing of it is in the database."""
