"""The hub's session with its database goes on after an error, such as a database that was away."""

import asyncio

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction


def recover_after_errors(session: Session) -> None:
    """Roll a session back once what has run into an error of the database is over.

    The hub has one session for everything. After a failed flush SQLAlchemy refuses its every use
    until it's rolled back, and not all that uses it does that.

    Parameters
    ----------
    session : Session
        The hub's, used by its loop's thread only.
    """

    @event.listens_for(session, "after_soft_rollback")
    def later(session: Session, ended: SessionTransaction) -> None:
        del ended
        if not session.is_active:
            asyncio.get_running_loop().call_soon(roll_back, session)


def roll_back(session: Session) -> None:
    """Roll a session back, unless somebody else has done it."""
    if not session.is_active:
        session.rollback()
