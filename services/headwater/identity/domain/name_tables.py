"""Small tables of name parts and legal forms, for the normalising rules. Facts only; must not hold a decision.

Origin: own knowledge of common names and forms; kept small on purpose, since every entry that is
wrong glues or parts real people.
"""

from __future__ import annotations

from typing import Final

LEGAL_FORMS: Final = frozenset(
    [
        "ab",
        "ag",
        "aktiengesellschaft",
        "as",
        "asa",
        "bhd",
        "bv",
        "bvba",
        "co",
        "company",
        "corp",
        "corporation",
        "cv",
        "dba",
        "doo",
        "ek",
        "eg",
        "ev",
        "gbr",
        "gesmbh",
        "gmbh",
        "group",
        "holding",
        "holdings",
        "inc",
        "incorporated",
        "international",
        "kft",
        "kg",
        "kgaa",
        "kk",
        "limited",
        "lda",
        "llc",
        "llp",
        "lp",
        "ltd",
        "ltda",
        "mbh",
        "nv",
        "ohg",
        "oy",
        "oyj",
        "plc",
        "private",
        "pte",
        "pty",
        "pvt",
        "sa",
        "sae",
        "sarl",
        "sas",
        "sasu",
        "se",
        "sl",
        "slu",
        "spa",
        "spzoo",
        "srl",
        "sro",
        "ug",
        "und",
        "unlimited",
    ]
)
"""Words at the end of a company's name that say its form, folded and without dots."""

LEGAL_LINKS: Final = frozenset({"and", "und", "et", "y", "e"})
"""Words left over at the end once a legal form has gone, as in `GmbH & Co`."""

TITLES: Final = frozenset(
    ["dipl", "dr", "frau", "herr", "ing", "mag", "miss", "mr", "mrs", "ms", "mx", "prof", "professor", "sir"]
)
"""Forms of address before a name."""

GENERATIONS: Final = {
    "jr": "jr",
    "junior": "jr",
    "sr": "sr",
    "senior": "sr",
    "ii": "ii",
    "iii": "iii",
    "iv": "iv",
}
"""Words after a name that tell generations apart."""

DEGREES: Final = frozenset(["ba", "bsc", "cpa", "esq", "ma", "mba", "md", "msc", "phd"])
"""Letters after a name that say nothing of who it is."""

PLACEHOLDER_NAMES: Final = frozenset(
    [
        "admin",
        "anonymous",
        "customer",
        "contact",
        "dummy",
        "fname",
        "first",
        "firstname",
        "guest",
        "info",
        "last",
        "lastname",
        "lname",
        "lead",
        "me",
        "n a",
        "na",
        "name",
        "noname",
        "nobody",
        "none",
        "null",
        "office",
        "sales",
        "surname",
        "team",
        "test",
        "tester",
        "testing",
        "unbekannt",
        "unknown",
        "user",
        "x",
        "xx",
        "xxx",
    ]
)
"""Values of a name field that name nobody."""

NICKNAMES: Final = (
    "alexander alexandra alex sandy sasha",
    "andrew andy drew",
    "anthony tony",
    "barbara barb babs",
    "benjamin ben benny",
    "beverly bev",
    "catherine katherine kathryn cathy kathy kate katie kit",
    "charles charlie chuck",
    "christopher christine christina chris tina kit",
    "daniel danny dan",
    "david dave davy",
    "deborah debbie deb",
    "donald don donny",
    "dorothy dot dottie dolly",
    "edward ed eddie ted ned",
    "elizabeth liz beth betty lizzie eliza libby",
    "frederick fred freddy",
    "gregory greg",
    "henry harry hank",
    "james jim jimmy jamie",
    "jennifer jen jenny",
    "john jack johnny jon",
    "joseph joe joey",
    "kenneth ken kenny",
    "lawrence larry",
    "margaret maggie meg peggy greta",
    "matthew matt",
    "michael mike mick micky mikey",
    "nicholas nick nicky",
    "pamela pam",
    "patricia pat patty trish tricia",
    "peter pete",
    "philip phil",
    "rebecca becky becca",
    "richard rick ricky dick rich",
    "robert bob bobby rob robbie bert",
    "ronald ron ronnie",
    "samuel samantha sam sammy",
    "stephen steven steve",
    "susan sue suzy susie",
    "theodore ted teddy theo",
    "thomas tom tommy",
    "timothy tim",
    "victoria vicky tori",
    "walter walt wally",
    "william will bill billy liam",
)
"""Given names that are used for each other; a name may stand in several rows."""
