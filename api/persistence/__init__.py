"""Where state is kept: SQLite or PostgreSQL. The only package that knows SQLAlchemy."""

from api.persistence.database import Database
from api.persistence.errors import (
    ConflictError,
    DatabaseUnavailableError,
    LeaseLostError,
    NotFoundError,
    UnknownRevisionError,
)
from api.persistence.transaction import Transaction

__all__ = [
    "ConflictError",
    "Database",
    "DatabaseUnavailableError",
    "LeaseLostError",
    "NotFoundError",
    "Transaction",
    "UnknownRevisionError",
]
