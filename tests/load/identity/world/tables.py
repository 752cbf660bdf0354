"""What the world is made of: names by culture, short forms, places, words of organisations. Data only.

Drawn up apart from the product's own tables: no list is taken from them, so that the world knows spellings
and short forms that the rules do not, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Culture:
    """How names are given somewhere.

    Args:
        given, family: as written at home and in Latin letters, `home=latin`, or one form for both.
        share: of the world's people.
        native: how often a record has the form written at home.
        family_first: how often the family name stands first in a record with one name field.
    """

    name: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    share: float
    native: float
    family_first: float = 0.03


@dataclass(frozen=True, slots=True)
class Place:
    """A city with what its numbers and addresses look like.

    Args:
        prefix: of phone numbers, with the country's.
        digits: that follow.
        postcode: `9` stands for a digit, `A` for a letter.
    """

    country: str
    city: str
    other: str
    prefix: str
    digits: int
    postcode: str
    forms: tuple[str, ...]
    tld: str


CULTURES: Final = (
    Culture(
        "german",
        (
            "Jürgen=Juergen", "Björn=Bjoern", "Käthe=Kaethe", "Sören=Soeren", "Matthias", "Stefan", "Sabine",
            "Ulrike", "Heike", "Torsten", "Katrin", "Wolfgang", "Johannes", "Annegret", "Günter=Guenter",
        ),
        (
            "Müller=Mueller", "Schröder=Schroeder", "Weiß=Weiss", "Krüger=Krueger", "Jäger=Jaeger", "Böhm=Boehm",
            "Großmann=Grossmann", "Hoffmann", "Lindner", "Vogel", "Kuhn", "von Berg", "Zimmermann", "Scholz",
        ),
        0.09, 0.6,
    ),
    Culture(
        "romance",
        (
            "José=Jose", "María=Maria", "François=Francois", "Zoé=Zoe", "André=Andre", "Íñigo=Inigo", "João=Joao",
            "Lucía=Lucia", "Giulia", "Matteo", "Chiara", "Thierry", "Benoît=Benoit", "Carmen", "Rui",
        ),
        (
            "García López=Garcia Lopez", "Muñoz=Munoz", "Lefèvre=Lefevre", "Gonçalves=Goncalves", "de la Cruz",
            "Peña Ruiz=Pena Ruiz", "Rossi", "Bianchi", "Dubois", "Moreau", "dos Santos", "Di Stefano", "Ibáñez=Ibanez",
        ),
        0.12, 0.55,
    ),
    Culture(
        "slavic",
        (
            "Дмитрий=Dmitry", "Екатерина=Ekaterina", "Сергей=Sergey", "Юлия=Yulia", "Олександр=Oleksandr",
            "Наталія=Nataliia", "Łukasz=Lukasz", "Małgorzata=Malgorzata", "Željko=Zeljko", "Анна=Anna", "Иван=Ivan",
        ),
        (
            "Щербаков=Shcherbakov", "Кузнецова=Kuznetsova", "Шевченко=Shevchenko", "Яковлев=Yakovlev",
            "Wiśniewski=Wisniewski", "Dąbrowska=Dabrowska", "Živković=Zivkovic", "Попов=Popov", "Чернова=Chernova",
        ),
        0.07, 0.3,
    ),
    Culture(
        "greek",
        ("Γιώργος=Giorgos", "Ελένη=Eleni", "Νίκος=Nikos", "Μαρία=Maria", "Δημήτρης=Dimitris"),
        ("Παπαδόπουλος=Papadopoulos", "Οικονόμου=Oikonomou", "Γεωργίου=Georgiou", "Βλάχος=Vlachos"),
        0.02, 0.3,
    ),
    Culture(
        "chinese",
        ("伟=Wei", "芳=Fang", "娜=Na", "秀英=Xiuying", "敏=Min", "静=Jing", "强=Qiang", "磊=Lei", "洋=Yang", "艳=Yan"),
        ("王=Wang", "李=Li", "张=Zhang", "刘=Liu", "陈=Chen", "杨=Yang", "赵=Zhao", "黄=Huang", "周=Zhou", "吴=Wu"),
        0.05, 0.15, 0.5,
    ),
    Culture(
        "arabic",
        ("محمد=Mohammed", "أحمد=Ahmed", "فاطمة=Fatima", "يوسف=Youssef", "ليلى=Layla", "خالد=Khaled", "مريم=Maryam"),
        ("الحسن=Al-Hassan", "خليل=Khalil", "منصور=Mansour", "حداد=Haddad", "نصر=Nasr", "صالح=Saleh"),
        0.04, 0.15,
    ),
    Culture(
        "indian",
        ("Priya", "Ananya", "Rajesh", "Venkatesh", "Sanjay", "Deepika", "Arjun", "Lakshmi", "Vikram", "Pooja"),
        ("Sharma", "Iyer", "Chaudhary", "Reddy", "Patel", "Mukherjee", "Krishnamurthy", "Singh", "Nair"),
        0.09, 1.0,
    ),
)  # fmt: skip
"""The rest of the world is English-speaking: its names come from the lists beside the labelled sets."""

SPELLINGS: Final = {
    "Mohammed": ("Muhammad", "Mohamed", "Mohammad"), "Youssef": ("Yusuf", "Yousef", "Joseph"),
    "Sergey": ("Sergei", "Serge"), "Dmitry": ("Dmitri", "Dimitri"), "Yulia": ("Julia", "Iuliia"),
    "Oleksandr": ("Alexander", "Alex"), "Shevchenko": ("Chevtchenko",), "Shcherbakov": ("Scherbakov",),
    "Khaled": ("Khalid",), "Ahmed": ("Ahmad",), "Al-Hassan": ("Alhassan", "Al Hassan"), "Chaudhary": ("Choudhary",),
    "Giorgos": ("George", "Yiorgos"), "Wang": ("Wong",), "Huang": ("Hwang",), "Lakshmi": ("Laxmi",),
    "Catherine": ("Katherine", "Kathryn"), "Sarah": ("Sara",), "Stephen": ("Steven",), "Brian": ("Bryan",),
    "Jeffrey": ("Geoffrey",), "Philip": ("Phillip",), "Rebecca": ("Rebekah",), "Kristen": ("Kirsten", "Kristin"),
}  # fmt: skip
"""Other transliterations and spellings of the same name."""

SHORT: Final = {
    "Robert": ("Bob", "Rob", "Bobby"), "William": ("Bill", "Will", "Liam"), "Richard": ("Rick", "Dick", "Rich"),
    "James": ("Jim", "Jamie"), "Michael": ("Mike", "Mick"), "Elizabeth": ("Liz", "Beth", "Betsy", "Lisa"),
    "Margaret": ("Peggy", "Maggie", "Meg"), "Katherine": ("Kate", "Kathy", "Katie"), "Thomas": ("Tom", "Tommy"),
    "Christopher": ("Chris", "Kit"), "Jennifer": ("Jen", "Jenny"), "Patricia": ("Pat", "Trish"),
    "Daniel": ("Dan", "Danny"), "Matthew": ("Matt",), "Anthony": ("Tony",), "Joseph": ("Joe",), "Steven": ("Steve",),
    "Andrew": ("Andy", "Drew"), "Joshua": ("Josh",), "Kenneth": ("Ken",), "Timothy": ("Tim",), "Edward": ("Ed", "Ted"),
    "Jeffrey": ("Jeff",), "Nicholas": ("Nick",), "Jonathan": ("Jon",), "Samuel": ("Sam",), "Benjamin": ("Ben",),
    "Deborah": ("Debbie", "Deb"), "Barbara": ("Barb",), "Susan": ("Sue", "Suzy"), "Rebecca": ("Becky",),
    "Victoria": ("Vicky", "Tori"), "Alexander": ("Alex", "Sasha"), "Dmitry": ("Dima",), "Sergey": ("Serezha",),
    "Ekaterina": ("Katya", "Kate"), "Nataliia": ("Natasha",), "José": ("Pepe",), "María": ("Mari",), "Johannes": ("Hans",),
    "Matthias": ("Matze",), "Stefan": ("Steff",), "Katrin": ("Kati",), "Małgorzata": ("Gosia",), "Rajesh": ("Raj",),
    "Venkatesh": ("Venky",), "Vikram": ("Vik",), "Zachary": ("Zach",), "Gregory": ("Greg",), "Raymond": ("Ray",),
    "Lawrence": ("Larry",), "Theodore": ("Theo", "Ted"), "Abigail": ("Abby",), "Cynthia": ("Cindy",), "Sandra": ("Sandy",),
}  # fmt: skip

PLACES: Final = (
    Place("US", "Denver", "Denver, CO", "+1303", 7, "99999", ("Inc.", "LLC", "Corp.", "Co."), ".com"),
    Place("US", "Boston", "Boston MA", "+1617", 7, "99999", ("Inc.", "LLC", "Corporation"), ".com"),
    Place("US", "Seattle", "SEATTLE", "+1206", 7, "99999", ("Inc", "L.L.C.", "Company"), ".io"),
    Place("CA", "Toronto", "Toronto, ON", "+1416", 7, "A9A 9A9", ("Inc.", "Ltd."), ".ca"),
    Place("GB", "Leeds", "Leeds, UK", "+44113", 7, "A99 9AA", ("Ltd", "Limited", "PLC"), ".co.uk"),
    Place("IE", "Dublin", "Dublin 2", "+3531", 7, "A99 A999", ("Ltd", "DAC"), ".ie"),
    Place("DE", "Köln", "Cologne", "+49221", 7, "99999", ("GmbH", "AG", "GmbH & Co. KG", "e.K."), ".de"),
    Place("AT", "Wien", "Vienna", "+431", 7, "9999", ("GmbH", "AG"), ".at"),
    Place("FR", "Lyon", "Lyon 3e", "+334", 8, "99999", ("SAS", "SARL", "S.A."), ".fr"),
    Place("ES", "Sevilla", "Seville", "+34954", 6, "99999", ("S.L.", "S.A."), ".es"),
    Place("IT", "Torino", "Turin", "+39011", 7, "99999", ("S.r.l.", "S.p.A."), ".it"),
    Place("PL", "Kraków", "Cracow", "+4812", 7, "99-999", ("Sp. z o.o.", "S.A."), ".pl"),
    Place("SE", "Göteborg", "Gothenburg", "+4631", 7, "999 99", ("AB",), ".se"),
    Place("BR", "Curitiba", "Curitiba - PR", "+5541", 8, "99999-999", ("Ltda", "S.A."), ".com.br"),
    Place("SG", "Singapore", "SG", "+656", 7, "999999", ("Pte. Ltd.", "Pte Ltd"), ".sg"),
    Place("IN", "Pune", "Poona", "+9120", 8, "999999", ("Pvt. Ltd.", "Private Limited", "LLP"), ".in"),
)

HEADS: Final = _words(
    "Aldbrook Amberline Arcturus Ashgrove Baywind Birchwood Blackthorn Bluestem Brightwater Calder Camberley Cascade"
    " Cinder Clearfield Copperhill Crestline Dovetail Driftwood Eastgate Elmstead Everly Fairmont Fenwick Foxglove"
    " Glenmore Greystone Halcyon Hartwell Hawthorn Hollin Ironbridge Ivory Jasper Kestrel Kingsway Larkspur Linden"
    " Lodestar Marlowe Mayfair Meadow Mistral Monarch Northwind Oakridge Ostara Palisade Pebble Pinnacle Quarry"
    " Ravenna Redwood Ridgeway Rosewood Saffron Sandstone Seabright Silverlake Skyline Solstice Springvale Starling"
    " Stonegate Summerhill Tamarack Tidewater Tribeca Umbra Vanguard Verdant Wavecrest Westbrook Whitaker Windmere"
    " Wren Yarrow Zephyr"
)
MIDDLES: Final = _words(
    "Advisory Aerospace Agri Air Apparel Automation Brewing Capital Care Ceramics Cloud Coatings Dental Digital"
    " Drilling Education Electronics Events Fabrication Financial Fitness Foods Furniture Genomics Glass Hospitality"
    " Imaging Infrastructure Instruments Interiors Knits Legal Lighting Machinery Maritime Materials Metals Mobility"
    " Nutrition Optics Organics Packaging Paper Payments Pharma Photonics Printing Rail Recruiting Renewables Retail"
    " Robotics Security Semiconductors Shipping Staffing Surgical Surveying Telecom Timber Tooling Utilities Water"
    " Wellness"
)
TAILS: Final = ("Group", "Partners", "Holdings", "International", "Services", "Associates", "Works", "Labs")
SHORTENED: Final = {
    "International": "Intl", "Services": "Svcs", "Associates": "Assoc.", "Holdings": "Hldgs", "Financial": "Fin.",
    "Electronics": "Elec.", "Infrastructure": "Infra", "Pharma": "Pharmaceuticals", "Telecom": "Telecommunications",
    "Agri": "Agriculture", "Group": "Grp",
}  # fmt: skip
FREE: Final = (
    "gmail.com", "gmail.com", "yahoo.com", "outlook.com", "hotmail.com", "proton.me", "gmx.net", "orange.fr",
    "libero.it", "163.com", "yandex.ru", "icloud.com",
)  # fmt: skip
ROLES: Final = ("info", "office", "sales", "accounts", "billing", "hello", "admin", "reception")
JUNK_MAIL: Final = ("none@none.com", "test@test.com", "noreply@example.com", "x@x.x", "unknown")
JUNK_PHONE: Final = ("0000000000", "1234567890", "n/a", "999-999-9999", "-")
TITLES: Final = (
    "Operations Manager", "VP Engineering", "Purchasing", "Chief Financial Officer", "CFO", "Head of Sales",
    "Sales Director", "Nurse Manager", "Owner", "Managing Director", "Geschäftsführer", "IT Administrator", "Buyer",
    "Project Lead", "Marketing Specialist", "Account Executive", "Recruiter", "Controller", "Plant Manager",
)  # fmt: skip
STREETS: Final = (
    "Mill Lane", "Station Road", "Hauptstraße", "Rue des Lilas", "Harbour Street", "5th Avenue", "Via Roma",
    "Church Street", "Gartenweg", "Calle Mayor", "Elm Street", "Industrial Parkway", "King's Road", "Lindenallee",
)  # fmt: skip
SYLLABLES: Final = (
    _words("bra cal dor el fen gar hal ing jar kel lan mor nor ost per quin rad sel tor ul van wil yor zel"),
    _words("a e i o u an en er in on ar el is"),
    _words("berg by croft den dale feld ford gate ham ley man ner ridge ski son stad ston ton vic well wick"),
)
"""Rare family names are put together from these: most people have a name that few others have."""
NEAR: Final = {
    "a": "qsz", "b": "vgn", "c": "xvd", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy", "i": "uok", "j": "hku",
    "k": "jli", "l": "kop", "m": "nj", "n": "bmh", "o": "ipl", "p": "ol", "q": "wa", "r": "etf", "s": "adw", "t": "ryg",
    "u": "yij", "v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa",
}  # fmt: skip
"""Neighbours on the keyboard."""
