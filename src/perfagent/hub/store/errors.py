"""Why the store could not do what it was asked for."""


class StoreUnavailable(Exception):  # noqa: N818 - a state, not a fault of the program
    """The database cannot be opened; the text says why and what to do."""


class StoreFailed(Exception):  # noqa: N818
    """Something could not be written; the text says why and what to do. Nothing of it is in the database."""


class Unfit(StoreFailed):
    """A value that its column cannot hold: the batch that it is in fails, wherever and whenever it is tried."""
