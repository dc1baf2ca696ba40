"""Alembic's entry: runs on the connection and inside the transaction that ``Database.migrate`` opened."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from service.store.tables import Base, UtcDateTime


def _render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Migrations stand alone: they name the plain column type, not this project's."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_item=_render_item
)
with context.begin_transaction():
    context.run_migrations()
