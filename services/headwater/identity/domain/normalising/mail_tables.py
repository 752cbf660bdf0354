"""Small tables of mailboxes and domains, for the normalising rules. Facts only; must not hold a decision.

Origin: own knowledge of common providers and forms, since every entry that is wrong glues or parts real
people; mailboxes to throw away are the library `disposable-email-domains`'s.
"""

from __future__ import annotations

from typing import Final

ROLE_MAILBOXES: Final = frozenset(
    [
        "abuse", "account", "accounting", "accounts", "accueil", "admin", "administracion", "administratie",
        "administration", "administrator", "advertising", "all", "ap", "application", "applications", "apply",
        "ar", "ask", "assistance", "auth", "backoffice", "bewerbung", "billing", "bonjour", "booking",
        "bookings", "buchhaltung", "business", "cancellations", "careers", "catering", "cfo-office", "chat",
        "ciao", "claims", "collections", "commercial", "comms", "communication", "communications", "community",
        "compliance", "compta", "comptabilite", "concierge", "connect", "contact", "contactus", "corp",
        "corporate", "credit", "customer", "customercare", "customers", "customerservice", "customersupport",
        "dataprotection", "datenschutz", "delivery", "demo", "department", "devops", "direccion", "direction",
        "director", "dispatch", "distribution", "dns", "do-not-reply", "donations", "donotreply", "einkauf",
        "email", "emergency", "empfang", "employment", "engineering", "enquiries", "enquiry", "events",
        "everyone", "export", "facilities", "faq", "fax", "feedback", "finance", "founders", "frontdesk",
        "ftp", "fundraising", "gdpr", "general", "geral", "gerencia", "hallo", "hello", "help", "helpdesk",
        "hi", "hola", "hosting", "hostmaster", "hr", "import", "inbox", "info", "information", "infos",
        "infosec", "inquire", "inquiries", "inquiry", "intake", "internet", "investor", "investors", "invoice",
        "invoices", "ir", "it", "it-support", "itsupport", "job", "jobs", "klantenservice", "kontakt",
        "kundenservice", "lead", "leads", "legal", "licensing", "list", "logistics", "loyalty", "mail",
        "mailbox", "mailer", "mailer-daemon", "mailing", "maintenance", "management", "manager",
        "manufacturing", "marketing", "media", "member", "members", "membership", "merch", "moderator",
        "network", "news", "newsletter", "no-reply", "no.reply", "no_reply", "noc", "noreply", "notification",
        "notifications", "notify", "office", "operations", "ops", "order", "orders", "partner", "partners",
        "partnership", "partnerships", "parts", "payable", "payables", "payment", "payments", "payroll",
        "personal", "photos", "planning", "postmaster", "pr", "press", "presse", "privacy", "privacy-officer",
        "procurement", "production", "projects", "publicity", "publisher", "purchase", "purchases",
        "purchasing", "quality", "quote", "quotes", "receivables", "reception", "recruiting", "recruitment",
        "recrutement", "registrar", "registration", "remittance", "rental", "rentals", "reply", "report",
        "reports", "request", "requests", "research", "reservas", "reservation", "reservations", "retail",
        "returns", "rh", "rma", "root", "safety", "sales", "schedule", "scheduling", "secretaria",
        "secretariat", "secretary", "security", "seguridad", "seo", "server", "service", "services",
        "shipping", "shop", "smtp", "social", "spam", "sponsorship", "staff", "store", "studio", "subscribe",
        "subscriptions", "suggestions", "supplier", "suppliers", "supplies", "support", "sysadmin", "tax",
        "team", "tech", "technical", "technik", "techsupport", "ticket", "tickets", "trade", "training",
        "transport", "travel", "treasurer", "unsubscribe", "usenet", "vendas", "vendor", "vendors", "ventas",
        "verkauf", "vertrieb", "verwaltung", "volunteer", "warehouse", "warranty", "web", "webmaster",
        "webteam", "welcome", "wholesale", "www", "zentrale",
    ]
)  # fmt: skip
"""Local parts that belong to a post, not to a person (RFC 2142 and common use)."""

ROLE_STEMS: Final = frozenset(
    ["admin", "billing", "contact", "info", "kontakt", "marketing", "noreply", "office", "orders", "sales", "service", "support"]
)
"""Posts that are also divided by place or trade, as in `sales.uk` or `info-berlin`."""

FREE_MAIL_DOMAINS: Final = frozenset(
    [
        "126.com", "139.com", "163.com", "188.com", "abv.bg", "aim.com", "alice.it", "aliyun.com", "aol.co.uk",
        "aol.com", "aol.de", "arcor.de", "arnet.com.ar", "att.net", "bell.net", "bellsouth.net", "bigmir.net",
        "bigpond.com", "bigpond.net.au", "bk.ru", "bluewin.ch", "blueyonder.co.uk", "bol.com.br",
        "btinternet.com", "btopenworld.com", "cegetel.net", "centrum.cz", "centurylink.net", "charter.net",
        "chello.nl", "citromail.hu", "club-internet.fr", "comcast.net", "cox.net", "daum.net", "dbmail.com",
        "dodo.com.au", "duck.com", "earthlink.net", "eircom.net", "email.com", "email.cz", "email.de",
        "email.it", "embarqmail.com", "fastmail.com", "fastmail.fm", "foxmail.com", "free.fr", "freemail.gr",
        "freemail.hu", "freenet.de", "frontier.com", "frontiernet.net", "globo.com", "gmail.com", "gmx.at",
        "gmx.ch", "gmx.co.uk", "gmx.com", "gmx.de", "gmx.fr", "gmx.net", "gmx.us", "go.com", "googlemail.com",
        "googlemail.de", "hanmail.net", "hetnet.nl", "hey.com", "home.nl", "hotmail.be", "hotmail.ca",
        "hotmail.co.uk", "hotmail.com", "hotmail.de", "hotmail.es", "hotmail.fr", "hotmail.it", "hotmail.nl",
        "hotmail.se", "hushmail.com", "i.ua", "icloud.com", "ig.com.br", "iinet.net.au", "inbox.com",
        "inbox.lv", "inbox.ru", "indiatimes.com", "interia.pl", "internet.ru", "juno.com", "kabelmail.de",
        "kakao.com", "kpnmail.nl", "laposte.net", "libero.it", "list.ru", "live.be", "live.ca", "live.co.uk",
        "live.com", "live.com.au", "live.com.mx", "live.de", "live.fr", "live.it", "live.nl", "live.se",
        "lycos.com", "mac.com", "mail.bg", "mail.com", "mail.de", "mail.ee", "mail.ru", "mailbox.org",
        "me.com", "mindspring.com", "msn.com", "mweb.co.za", "nate.com", "naver.com", "netscape.net",
        "netzero.net", "neuf.fr", "ntlworld.com", "numericable.fr", "o2.pl", "oi.com.br", "onet.pl",
        "online.de", "op.pl", "optonline.net", "optusnet.com.au", "orange.fr", "outlook.com", "outlook.com.br",
        "outlook.de", "outlook.es", "outlook.fr", "outlook.it", "outlook.jp", "planet.nl", "pm.me",
        "poczta.onet.pl", "posteo.de", "prodigy.net.mx", "proton.me", "protonmail.com", "ptd.net", "qq.com",
        "rambler.ru", "rediffmail.com", "roadrunner.com", "rocketmail.com", "rogers.com", "runbox.com",
        "sapo.pt", "sbcglobal.net", "seznam.cz", "sfr.fr", "shaw.ca", "sina.cn", "sina.com", "sky.com",
        "skynet.be", "sohu.com", "suddenlink.net", "sympatico.ca", "t-online.de", "talktalk.net", "tele2.nl",
        "telenet.be", "telia.com", "telus.net", "terra.com.br", "tin.it", "tiscali.co.uk", "tiscali.it",
        "tuta.com", "tuta.io", "tutanota.com", "tutanota.de", "ua.fm", "ukr.net", "uol.com.br", "verizon.net",
        "virgilio.it", "virgin.net", "virginmedia.com", "vodafone.de", "vodafone.it", "voila.fr", "volny.cz",
        "walla.co.il", "wanadoo.fr", "wanadoo.nl", "web.de", "westnet.com.au", "windowslive.com",
        "windstream.net", "wp.pl", "xs4all.nl", "xtra.co.nz", "ya.ru", "yahoo.ca", "yahoo.co.id",
        "yahoo.co.in", "yahoo.co.jp", "yahoo.co.kr", "yahoo.co.nz", "yahoo.co.uk", "yahoo.co.za", "yahoo.com",
        "yahoo.com.ar", "yahoo.com.au", "yahoo.com.br", "yahoo.com.cn", "yahoo.com.hk", "yahoo.com.mx",
        "yahoo.com.ph", "yahoo.com.sg", "yahoo.com.tr", "yahoo.com.tw", "yahoo.com.vn", "yahoo.de", "yahoo.dk",
        "yahoo.es", "yahoo.fr", "yahoo.gr", "yahoo.ie", "yahoo.in", "yahoo.it", "yahoo.nl", "yahoo.no",
        "yahoo.pl", "yahoo.se", "yandex.by", "yandex.com", "yandex.kz", "yandex.ru", "yandex.ua", "yeah.net",
        "ymail.com", "ziggo.nl", "zoho.com", "zohomail.com", "zohomail.eu", "zoznam.sk",
    ]
)  # fmt: skip
"""Domains where anyone may have a mailbox: no evidence of an organisation."""

PLACEHOLDER_DOMAINS: Final = frozenset(
    [
        "a.com",
        "abc.com",
        "email.invalid",
        "example.com",
        "example.net",
        "example.org",
        "fake.com",
        "na.com",
        "nomail.com",
        "none.com",
        "nowhere.com",
        "test.com",
        "xyz.invalid",
    ]
)
"""Domains that people type to get past a required field (RFC 2606 and common use)."""

PLACEHOLDER_MAILBOXES: Final = frozenset(
    [
        "abc",
        "anonymous",
        "asdf",
        "dummy",
        "email",
        "fake",
        "n/a",
        "na",
        "name",
        "no",
        "noemail",
        "nobody",
        "nomail",
        "none",
        "null",
        "test",
        "tester",
        "testing",
        "unknown",
        "xxx",
    ]
)
"""Local parts that stand for no address."""

DOMAIN_TYPOS: Final = {
    wrong: right
    for right, spellings in {
        "gmail.com": "gamil.com gmai.com gmaill.com gmail.co gmail.cm gmal.com gmial.com gnail.com gmali.com gmil.com "
        "gemail.com gimail.com ggmail.com gmail.om gmailcom.com gmsil.com gmaul.com gmaio.com",
        "hotmail.com": "hotmai.com hotmial.com hotmil.com hotmal.com hotmaill.com homail.com hotamil.com hotnail.com htomail.com "
        "hotmail.co hotmail.cm hormail.com",
        "icloud.com": "iclod.com icoud.com iclould.com icloud.co icloud.cm",
        "outlook.com": "outlok.com outloo.com outlool.com outllook.com outlook.co outlook.cm putlook.com",
        "yahoo.com": "yaho.com yhoo.com yahooo.com yaoo.com yhaoo.com yahho.com yahoo.co yahoo.cm tahoo.com",
    }.items()
    for wrong in spellings.split()
}
"""Spellings of large providers that are mistakes."""

TLD_TYPOS: Final = {
    "con": "com", "cmo": "com", "comm": "com", "vom": "com", "xom": "com", "cpm": "com", "coom": "com", "ccom": "com",
    "ocm": "com", "nte": "net", "ner": "net", "nett": "net", "ogr": "org", "orgg": "org",
}  # fmt: skip
"""Endings that do not exist in the public suffix list, and the one that was meant."""

PROVIDERS: Final = {
    "gmail.com": ("gmail.com", "."),
    "googlemail.com": ("gmail.com", "."),
    "proton.me": ("proton.me", ".-_"),
    "protonmail.com": ("proton.me", ".-_"),
    "protonmail.ch": ("proton.me", ".-_"),
    "pm.me": ("proton.me", ".-_"),
    "icloud.com": ("icloud.com", ""),
    "me.com": ("icloud.com", ""),
    "mac.com": ("icloud.com", ""),
    "ya.ru": ("yandex.ru", ""),
    "yandex.com": ("yandex.ru", ""),
    "yandex.by": ("yandex.ru", ""),
    "yandex.kz": ("yandex.ru", ""),
    "yandex.ua": ("yandex.ru", ""),
}
"""Domains of one provider that reach one mailbox: the one domain, and the letters it ignores.

Source: the providers' help pages on dots and aliases.
"""

SHARED_HOSTS: Final = frozenset(
    [
        "blogspot.com",
        "facebook.com",
        "github.com",
        "github.io",
        "google.com",
        "instagram.com",
        "linkedin.com",
        "linktr.ee",
        "medium.com",
        "myshopify.com",
        "notion.site",
        "sites.google.com",
        "twitter.com",
        "weebly.com",
        "wikipedia.org",
        "wix.com",
        "wixsite.com",
        "wordpress.com",
        "x.com",
        "youtube.com",
    ]
)
"""Hosts where many organisations have a page: a link there names none of them."""
