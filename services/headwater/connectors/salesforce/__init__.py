"""Salesforce: any sObject through the sObject collections API, keyed by an external id field.

Evidence (`recorded`): collection upserts and updates, describes, queries and composite errors are recordings of
real orgs; field names are checked against Salesforce's generated OpenAPI. Per-record refusals (DUPLICATES_DETECTED
and the rest of the error table), the limit header, token refresh and paging were seen on our own sandbox or in
the vendor's documentation only.
"""

from headwater.connectors.salesforce.client import VENDOR

__all__ = ["VENDOR"]
