"""A database that was locked for a moment leaves no session behind that can't be used."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from jupyterhub import orm
from sqlalchemy.exc import OperationalError, PendingRollbackError
from sqlalchemy.orm import Session

from hub.session_recovery import recover_after_errors


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = orm.new_session_factory(
        f"sqlite:///{tmp_path}/hub.sqlite", connect_args={"timeout": 0.05}
    )()
    yield made
    made.close()
    made.get_bind().dispose()


async def fails_while_locked(session: Session, tmp_path: Path) -> None:
    """Use the session while somebody else is writing, as a handler does that is told so."""
    with sqlite3.connect(tmp_path / "hub.sqlite") as other:
        other.execute("BEGIN IMMEDIATE")
        session.add(orm.User(name="ada"))
        with pytest.raises(OperationalError, match="locked"):
            session.query(orm.User).first()
    other.close()
    await asyncio.sleep(0)


async def test_it_goes_on_when_the_database_is_there_again(session, tmp_path):
    recover_after_errors(session)
    await fails_while_locked(session, tmp_path)
    session.add(orm.User(name="bob"))
    session.commit()
    assert [user.name for user in session.query(orm.User)] == ["bob"]


async def test_without_that_it_never_does(session, tmp_path):
    await fails_while_locked(session, tmp_path)
    with pytest.raises(PendingRollbackError):
        session.query(orm.User).first()
