"""Identity's Postgres: the store, its transactions, the outbox. The only room that runs SQL."""

from headwater.identity.store.erasing import PostgresRecordEraser
from headwater.identity.store.grouping import PostgresGroupStore
from headwater.identity.store.outbox import PostgresOutbox
from headwater.identity.store.postgres import PostgresIdentityStore
from headwater.identity.store.redoing import PostgresRedoStore, PostgresSurveyStore
from headwater.identity.store.reviewing import PostgresReviewStore
from headwater.identity.store.weights import PostgresWeightsNews, PostgresWeightsStore

__all__ = [
    "PostgresGroupStore",
    "PostgresIdentityStore",
    "PostgresOutbox",
    "PostgresRecordEraser",
    "PostgresRedoStore",
    "PostgresReviewStore",
    "PostgresSurveyStore",
    "PostgresWeightsNews",
    "PostgresWeightsStore",
]
