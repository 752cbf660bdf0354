"""Small tables of parts of people's names, for the normalising rules. Facts only; must not hold a decision.

Origin: own knowledge of common names and forms; kept small on purpose, since every entry that is
wrong glues or parts real people. English nicknames are the library `nicknames`'s.
"""

from __future__ import annotations

from typing import Final

TITLES: Final = frozenset(
    [
        "attorney", "avv", "capt", "captain", "cmdr", "col", "colonel", "dame", "dipl", "doctor", "dott",
        "dr", "dra", "drs", "frau", "herr", "hr", "ing", "ir", "lt", "mag", "maj",
        "messrs", "mevr", "miss", "mister", "mlle", "mme", "mr", "mrs", "ms", "mx", "pastor", "phdr", "prof",
        "professor", "rev", "reverend", "rabbi", "sgt", "sig", "signor", "signora", "sir", "sr", "sra", "srta",

    ]
) - {"sr"}  # fmt: skip
"""Forms of address before a name; not `sr`, which tells generations apart."""

LONE_TITLES: Final = frozenset(
    ["dr", "frau", "herr", "miss", "mr", "mrs", "ms", "mx", "prof", "professor", "sir"]
)
"""Titles that are no name even where nothing follows."""

GENERATIONS: Final = {
    "jr": "jr", "jnr": "jr", "junior": "jr", "sr": "sr", "snr": "sr", "senior": "sr",
    "ii": "ii", "2nd": "ii", "iii": "iii", "3rd": "iii", "iv": "iv", "4th": "iv",
}  # fmt: skip
"""Words after a name that tell generations apart."""

DEGREES: Final = frozenset(
    [
        "acca", "bsc", "ba", "beng", "bcom", "ca", "cfa", "cissp", "cpa", "dds", "dmd", "dvm", "edd", "esq", "esquire",
        "facs", "jd", "llb", "llm", "ma", "mba", "md", "meng", "mph", "msc", "msw", "obe", "mbe", "cbe", "pe", "pmp",
        "phd", "pharmd", "psyd", "rn", "shrm",
    ]
)  # fmt: skip
"""Letters after a name that say nothing of who it is."""

SHORT_DEGREES: Final = frozenset(["ba", "ca", "ma", "md", "pe", "rn", "jd"])
"""Degrees that are also names: they count as names where little else is left."""

PARTICLES: Final = frozenset(
    [
        "af", "al", "av", "bin", "bint", "da", "dal", "dalla", "das", "de", "degli", "dei", "del", "della", "delle", "den",
        "der", "di", "do", "dos", "du", "el", "ibn", "la", "le", "lo", "mac", "mc", "san", "st", "ten", "ter", "van",
        "vom", "von", "y", "zu", "zum", "zur",
    ]
)  # fmt: skip
"""Words that belong to the family name behind them."""

HAN_FAMILIES: Final = frozenset(
    ["欧阳", "歐陽", "司马", "司馬", "诸葛", "諸葛", "上官", "夏侯", "皇甫", "尉迟", "公孙", "慕容", "司徒", "남궁", "황보", "제갈", "선우", "독고"]
)  # fmt: skip
"""Family names of two letters."""

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

GIVEN_TOO: Final = frozenset(["na"])
FAMILY_TOO: Final = frozenset(["last", "na", "null", "sales"])
"""Placeholders that people have for a given and for a family name, as Na Wang, James Last, Marta Sales."""

NICKNAMES: Final = (
    "alexander aleksandr oleksandr alejandro alessandro alexandre sasha sascha sacha",
    "alexei aleksei alexey aleksey oleksiy alyosha",
    "anastasia anastasiya nastya",
    "dmitry dmitri dmitriy dmitrii dmytro dima",
    "dolores lola",
    "ekaterina yekaterina kateryna katya",
    "elena yelena olena lena",
    "enrique quique kike",
    "eugene evgeny evgeniy yevgeny yevhen zhenya",
    "francisco paco pancho",
    "friedrich fritz",
    "giovanni gianni",
    "giuseppe beppe peppe",
    "guillermo memo",
    "heinrich heinz",
    "ignacio nacho",
    "ivan vanya",
    "johannes hans hannes",
    "jose pepe",
    "josef sepp jupp",
    "konstantin kostya",
    "manuel manolo",
    "mariya maria masha",
    "mikhail mykhailo misha",
    "mohammed muhammad mohamed mohammad muhammed mohamad mohamud mhmd",
    "nikolai nikolay mykola kolya",
    "rafael rafa",
    "sergei sergey serhiy sergii seryozha",
    "tatiana tatyana tanya",
    "vladimir volodymyr vova volodya",
    "yuri yury yuriy iurii",
    "yusuf yousef youssef",
)
"""Given names of other tongues that are used for each other, or written so in Latin letters."""
