"""What can go wrong with stored state."""

from __future__ import annotations

from models.errors import CapacityOptimizerError


class PersistenceError(CapacityOptimizerError):
    """Base of what goes wrong with stored state."""


class NotFoundError(PersistenceError):
    """There is no such object; the message names it."""


class ConflictError(PersistenceError):
    """There is another object of that name already; the message names it."""


class LeaseLostError(PersistenceError):
    """The lease has ended, and another server may hold it."""


class UnknownRevisionError(PersistenceError):
    """The tables are of a newer program than this one; the message says how to take them back."""


class DatabaseUnavailableError(PersistenceError):
    """The database cannot be reached, or cannot write (a full disk); nothing is done, and it may be asked again."""
