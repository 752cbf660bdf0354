"""Small tables of words of company names; legal forms are the policy room's. Facts only; must not hold a decision.

Origin: own knowledge.
"""

from __future__ import annotations

from typing import Final

from headwater.policy.normalising.legal_forms import (
    CYRILLIC_FORMS,
    HAN_FORMS,
    LEADING_WORDS,
    LEGAL_FORMS,
    LEGAL_LINKS,
)

__all__ = [
    "ABBREVIATIONS",
    "COMMON_COMPANY_WORDS",
    "CYRILLIC_FORMS",
    "HAN_FORMS",
    "LEADING_WORDS",
    "LEGAL_FORMS",
    "LEGAL_LINKS",
]

ABBREVIATIONS: Final = {
    word: short
    for short, words in {
        "acad": "academy academie akademie", "admin": "administration", "agri": "agriculture agricultural agric",
        "amer": "american", "assn": "association assoc associacion asociacion", "assocs": "associates",
        "auto": "automotive automobile automobiles", "bros": "brothers", "bldg": "building buildings",
        "bldrs": "builders", "cent": "center centre centro zentrum", "chem": "chemical chemicals chemie",
        "coll": "college", "comm": "communication communications comms commun", "constr": "construction constructions",
        "cons": "consulting consultants consultancy consult", "dept": "department departement", "dev": "development developments",
        "dist": "distribution distributors", "elec": "electric electrical electrics", "electr": "electronic electronics",
        "eng": "engineering engineers engg engr", "ent": "enterprise enterprises", "env": "environmental environment",
        "equip": "equipment", "fed": "federal", "fin": "financial finance", "govt": "government",
        "grp": "group gruppe groupe grupo gruppo", "hldg": "holding holdings hldgs", "hosp": "hospital",
        "ind": "industries industry industrial inds", "ins": "insurance", "inst": "institute institut institution instituto",
        "intl": "international internationale internacional int internat internl", "inv": "investment investments",
        "lab": "laboratory laboratories labs laboratoire", "log": "logistics logistic logist logistik",
        "mach": "machinery machine machines", "med": "medical medicine", "mfg": "manufacturing manufacturers mfrs",
        "mgmt": "management mgt", "mktg": "marketing", "natl": "national nat", "org": "organization organisation",
        "pharma": "pharmaceutical pharmaceuticals pharm", "prod": "products production productions prods",
        "prop": "properties property props", "pub": "publishing publications publishers", "rd": "research",
        "scien": "science sciences scientific", "sec": "security", "socy": "society", "sol": "solution solutions sols solns",
        "sup": "supply supplies", "svc": "service services svcs serv", "sys": "system systems systeme syst",
        "tech": "technology technologies technological techno technologie", "telecom": "telecommunication telecommunications telco",
        "trans": "transport transportation", "univ": "university universitat universite universidad universita", "us": "usa",
        "first": "1st", "second": "2nd", "third": "3rd",
    }.items()
    for word in words.split()
}  # fmt: skip
"""A word of a company's name to its one short spelling; no short spelling is itself a word here."""

COMMON_COMPANY_WORDS: Final = frozenset(ABBREVIATIONS.values()) | frozenset(
    [
        "advisors", "africa", "air", "and", "art", "asia", "bank", "beauty", "bio", "blue", "business", "cafe", "capital",
        "care", "china", "city", "clinic", "club", "creative", "data", "de", "deutsche", "digital", "east", "energy",
        "europe", "express", "family", "faculty", "farm", "fashion", "fitness", "food", "foods", "for", "foundation",
        "france", "gas", "germany", "global", "gold", "golden", "grand", "green", "grill", "health", "home", "hotel",
        "hotels", "house", "in", "india", "japan", "king", "korea", "la", "law", "legal", "life", "london", "market",
        "media", "metal", "metals", "mobile", "motor", "motors", "music", "network", "networks", "new", "news", "north",
        "of", "oil", "one", "online", "pacific", "paper", "park", "partner", "partners", "people", "petroleum", "photo",
        "plastics", "power", "print", "printing", "red", "restaurant", "river", "royal", "school", "shop", "smart", "social",
        "software", "solar", "sons", "south", "spa", "sport", "sports", "star", "state", "steel", "store", "studio",
        "studios", "the", "tools", "toys", "trade", "trading", "travel", "trust", "uk", "und", "union", "united", "ventures",
        "academy", "campus", "center", "centre", "college", "federal", "hospital", "institute", "institution", "laboratory",
        "medical", "medicine", "museum", "national", "research", "science", "sciences", "sport", "state", "technical",
        "technology", "universidad", "universidade", "universita", "universitat", "universite", "university",
        "water", "web", "west", "white", "wine", "wood", "work", "works", "world",
    ]
)  # fmt: skip
"""Words that many companies' names have: they tell little."""
