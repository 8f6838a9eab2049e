"""What can be asked of and done to the stored state within one transaction."""

from __future__ import annotations

from sqlalchemy import Connection

from api.persistence.ciphers import TokenCipher
from api.persistence.inbox import Inbox
from api.persistence.leases import Leases
from api.persistence.monitoring import Monitoring
from api.persistence.outbox import Outbox
from api.persistence.peers import Peers
from api.persistence.plans import Plans
from api.persistence.sign_ins import SignIns
from api.persistence.sites import Sites


class Transaction:
    """The stored state, within one transaction.

    Args:
        connection: Open, in a transaction.
        cipher: Encrypts the tokens that we hold for peers.
    """

    def __init__(self, connection: Connection, cipher: TokenCipher) -> None:
        self.connection = connection
        self.peers = Peers(connection, cipher)
        self.sites = Sites(connection, cipher)
        self.leases = Leases(connection)
        self.inbox = Inbox(connection)
        self.plans = Plans(connection)
        self.outbox = Outbox(connection)
        self.sign_ins = SignIns(connection)
        self.monitoring = Monitoring(connection)
