"""Who may do what: tokens for each role, and links that open the page, all derived from one secret of the user.

Nothing is looked up or stored: a token is a keyed hash of its role, a link a keyed hash of the moment it ends.
Standard library alone, for `perfagent run` prints a link before it becomes the program: keyed BLAKE2 (RFC 7693) from
its C module is imported in 0.3 ms, hmac with hashlib and OpenSSL in 6.
"""

from __future__ import annotations

import os
import time
from _operator import _compare_digest as is_same  # in constant time; what `hmac.compare_digest` is without OpenSSL

try:
    from _blake2 import blake2b
except ImportError:  # an interpreter that was built without its own
    from hashlib import blake2b

ROLES = ("agent", "viewer", "operator", "admin")
"""From least to most: an agent sends and fetches its commands, a viewer reads, an operator acts, an admin changes."""

LINK_SECONDS = 900


class Access:
    """Tokens and links of one hub.

    Args:
        secret: 32 random bytes, those of the file `secret` in the hub's folder.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _sign(self, text: str) -> str:
        return blake2b(text.encode(), key=self._secret, digest_size=20).hexdigest()

    def token(self, role: str) -> str:
        """The token of a role; raises ValueError where there is no such role."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is no role; there are: {', '.join(ROLES)}")
        return f"{role}.{self._sign(f'token {role}')}"

    def role(self, token: str) -> str:
        """The role that a token gives; '' for none of ours."""
        role = token.partition(".")[0]
        return role if role in ROLES and is_same(token.encode(), self.token(role).encode()) else ""

    def code(self, now: float | None = None) -> str:
        """What a link to the page carries: good for 15 minutes, so that one in a log file opens nothing later."""
        until = f"{int((time.time() if now is None else now) + LINK_SECONDS):x}"
        return f"{until}-{self._sign(f'link {until}')}"

    def opens(self, code: str, now: float | None = None) -> bool:
        """Whether a link's code is one of ours and still good."""
        until, _, signature = code.partition("-")
        try:
            late = int(until, 16) < (time.time() if now is None else now)
        except ValueError:
            return False
        return not late and is_same(signature.encode(), self._sign(f"link {until}").encode())

    def sign(self, document: bytes) -> str:
        """The signature of a control document, which tells an agent that it is its own hub's."""
        import hashlib
        import hmac

        return hmac.new(self._secret, b"control " + document, hashlib.sha256).hexdigest()


def secret(directory: str) -> bytes:
    """The secret of the hub in `directory`, made (mode 600) where there is none yet; raises OSError."""
    path = os.path.join(directory, "secret")
    try:
        with open(path, "rb") as file:
            found = file.read(64)
            if os.fstat(file.fileno()).st_mode & 0o077:  # as a copy of a home folder may leave it
                os.fchmod(file.fileno(), 0o600)
        if len(found) >= 32:
            return found  # at most as long as a key of BLAKE2 may be
        os.unlink(path)  # cut short by a full disk: a short secret could be guessed
    except FileNotFoundError:
        pass
    draft = f"{path}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(os.urandom(32))
    try:
        os.link(draft, path)  # unlike a rename, it never replaces what another process has made meanwhile
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)
    return secret(directory)
