"""Files as a CRM: one folder per object, one row per external id, in JSON lines and, where asked, CSV beside it.

The account's credentials hold `root`, the directory that whoever runs this machine grants; its base URL is a path below
it, with the rendition wanted: `file:///crm?format=csv`. Also here: what an import must find out about a file that
somebody made (`detecting`).
"""

from headwater.connectors.files.client import VENDOR

__all__ = ["VENDOR"]
