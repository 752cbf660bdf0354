"""A provider of enrichment that is asked for JSON over HTTP.

    POST {base_url}{path}            {"object": "contact", "inputs": {"email": "..."}}
    200                              {"id": "...", "values": {"title": "CTO", "city": {"value": "...", "confidence": 0.8}}}
    204, 404, 200 without values     it knows nothing

Options: `path` (default /v1/enrich; {object} stands for the object), `method` (post or get: inputs as parameters),
`values` (where the values are, dots reach into objects; empty text not allowed, default values).
"""

from headwater.connectors.enriching_http.provider import HttpKind

KIND = HttpKind()

__all__ = ["KIND"]
