"""HubSpot: contacts, companies, deals, leads and activities through the v3 object and v4 association APIs.

Evidence (`recorded`): the create answer out of order, the HTML 404, both wordings of 403, property lists and
rate-limit headers are recordings of a real portal; paths, bodies and field names of upsert, update, read and
associate are compared with HubSpot's own client. The 207 bodies, conflict and validation errors, 429 and the
token endpoint were seen on our own sandbox only.
"""

from headwater.connectors.hubspot.client import VENDOR

__all__ = ["VENDOR"]
