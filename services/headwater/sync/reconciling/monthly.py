"""The monthly review of one account: schema and mappings, beside the last review. Repairs nothing: people map."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from headwater.connectors.base.describing import Describing
from headwater.kernel.clock import Clock
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain.schema_review import (
    Finding,
    changes_of,
    misfits_of,
    pack_schema,
    unpack_schema,
    version_findings,
)
from headwater.sync.domain.sweep_plans import sweep_plans
from headwater.sync.reconciling.ports import Account, ParityBook, Run


@dataclass(frozen=True, slots=True)
class Review:
    """Runs the monthly review."""

    book: ParityBook
    clock: Clock
    new_id: Callable[[], uuid.UUID] = uuid.uuid4

    async def run(self, account: RunningAccount) -> str:
        """Review *account* once; return what it came to. Raises: CallFailed, FenceLost, HeadwaterError."""
        held = Account(account.tenant_id, account.name, account.lease)
        order = await self.book.take_order(held, "monthly")
        begin, before = self.clock.now(), await self.book.last_report(held, "monthly")
        async with account.connected() as connector:
            if not isinstance(connector, Describing):
                return f"vendor {account.policy.vendor} does not tell how its objects are made"
            findings: list[Finding] = []
            schemas: dict[str, Any] = {}
            for crm_object, plan in sweep_plans(account.document, account.name).items():
                now = await account.ask(READ, partial(connector.schema, crm_object))
                old = unpack_schema(before.get("schema", {}).get(crm_object, {}))
                findings += changes_of(crm_object, old, now, frozenset(plan.swept.fields))
                findings += misfits_of(account.document, plan, now)
                schemas[crm_object] = pack_schema(now)
            findings += version_findings(await account.ask(READ, connector.api_versions))
        found = list(dict.fromkeys(findings))
        told = f"{len(found)} findings: {', '.join(f'{one.where} {one.what}' for one in found[:5])}" if found else (
            "schema and mappings fit"
        )  # fmt: skip
        report = {"findings": msgspec.to_builtins(found), "schema": schemas}
        dry = order is not None and order.dry
        run = Run(self.new_id(), "monthly", begin, dry, self.clock.now(), told, report)
        await self.book.write_run(held, run)
        return told
