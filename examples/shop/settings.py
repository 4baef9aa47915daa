"""Where the shop keeps its data and whom it asks for money."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between one installation of the shop and another."""

    database: Path
    payment_url: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads SHOP_DATABASE (a file) and SHOP_PAYMENT_URL."""
        return cls(
            database=Path(os.environ.get("SHOP_DATABASE", "shop.db")),
            payment_url=os.environ.get("SHOP_PAYMENT_URL", "http://127.0.0.1:8001"),
        )
