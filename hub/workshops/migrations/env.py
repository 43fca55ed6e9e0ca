"""What alembic runs to bring the tables up to date, over the connection that it is given."""

from alembic import context

from hub.workshops.database import VERSIONS

context.configure(connection=context.config.attributes["connection"], version_table=VERSIONS)
context.run_migrations()
