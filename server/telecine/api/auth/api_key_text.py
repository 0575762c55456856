"""The text of an API key: `tc_`, the key's id, `_`, and 256 random bits."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Self

PREFIX = "tc_"
_SECRET_BYTES = 32
_TEXT = re.compile(r"tc_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_DIGEST_OF_NONE = bytes(hashlib.sha256().digest_size)


@dataclass(frozen=True)
class ApiKeyText:
    """A key as its owner holds it."""

    key_id: str
    secret: str

    @classmethod
    def draw(cls) -> Self:
        """Returns a new key."""
        random = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES))
        return cls(secrets.token_hex(8), random.rstrip(b"=").decode())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Returns the key in a text; None where it has another form."""
        match = _TEXT.fullmatch(text)
        return cls(*match.groups()) if match else None

    def __repr__(self) -> str:
        return f"ApiKeyText({self.key_id})"  # a secret must not get into a log

    def __str__(self) -> str:
        return f"{PREFIX}{self.key_id}_{self.secret}"

    @property
    def digest(self) -> bytes:
        """What is stored; one hash is enough, since nobody can try 2^256 secrets."""
        return hashlib.sha256(self.secret.encode()).digest()

    def is_secret_of(self, digest: bytes | None) -> bool:
        """Compares with what is stored, in the same time whatever differs and if nothing is."""
        return hmac.compare_digest(self.digest, digest or _DIGEST_OF_NONE)
