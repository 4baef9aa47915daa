"""Why a remote gave no answer; each text says what to do next."""

from __future__ import annotations


class RemoteError(Exception):
    """A remote was asked and did not answer as it should.

    Args:
        message: what happened and what to do, in a sentence without a credential.
        outcome: a word for counting it: unreachable, timeout, too_large, refused, overloaded, garbage, resting, busy.
        retry_after: seconds that the remote asked to be left alone; 0 where it did not say.
    """

    def __init__(self, message: str, outcome: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.retry_after = retry_after

    @property
    def is_too_much(self) -> bool:
        """Whether a smaller question may well be answered."""
        return self.outcome in ("too_large", "timeout", "too_much")

    @property
    def answers(self) -> bool:
        """Whether the remote does answer, only not to this."""
        return self.outcome in ("too_large", "too_much")


class BadAddress(ValueError):  # noqa: N818 - a setting that cannot be used
    """The setting of an address that nobody can ask."""
