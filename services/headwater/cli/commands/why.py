"""`headwater why ENTITY [FIELD]`: who decides each value, who lost and by what, and what each CRM holds."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.plain import plain
from headwater.cli.reasons import shown_entity
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import read_who
from headwater.sync.v1 import provenance_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")

Entity = Annotated[
    str,
    typer.Argument(
        help="An entity id, also one that was merged since, or a record as source/object/external-id."
    ),
]
Field = Annotated[
    str, typer.Argument(help="Canonical field; without it every field of which something is known.")
]


@app.command()
@asking
async def why(session: Session, services: Services, entity: Entity, field: Field = "") -> None:
    """Say why an entity shows the values it shows: rule, winner, losers and what they lost by, what each CRM holds.

    Operators' corrections stand among the statements. Values of secret fields are never shown. What a CRM holds is
    what Headwater knows of it: what it wrote or saw there last.

    Examples:

      headwater why 0f6b1d3e-6a4e-5b7e-9a56-1c6c1f0e9d11

      headwater why hubspot/contact/42 phone
    """
    entity_id, record = read_who(entity)
    request = pb.ExplainEntityRequest(tenant_id=session.tenant_id, field=field)
    if record is not None:
        request.record.CopyFrom(record)
    else:
        request.entity_id = entity_id
    found = await services.ask(services.provenance.ExplainEntity, request)
    session.output.result(plain(found), *shown_entity(found))
