"""A provider of enrichment that needs no network: what an address, a phone number and a postal code say by themselves.

    inputs    email, phone, country, postal_code
    values    company_domain, website, company, mail_kind; phone_country, phone_type, phone_carrier, phone_area, country;
              region, region_code

Facts have confidence 1 or near it. A company's name made from its domain is a guess (0.4), as is the carrier of a
number that may have been ported (0.6): both are left out unless the policy's `confidence_min` lets them in.
"""

from headwater.connectors.enriching_local.provider import LocalKind

KIND = LocalKind()

__all__ = ["KIND"]
