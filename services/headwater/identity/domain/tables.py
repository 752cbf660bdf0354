"""Small tables that the normalising rules look up. Facts only; must not hold a decision.

Origin: own knowledge of common providers and forms; kept small on purpose, since every entry that is
wrong glues or parts real people.
"""

from __future__ import annotations

from typing import Final

ROLE_MAILBOXES: Final = frozenset(
    "abuse accounting accounts admin administrator all billing bookings business careers contact contactus "
    "customerservice customersupport enquiries enquiry feedback finance general hello help helpdesk hi hr "
    "info information inquiries inquiry invoice invoices it jobs kontakt legal mail mailbox marketing media "
    "no-reply noreply no.reply office ops orders partners payments postmaster pr press privacy procurement "
    "purchasing reception recruiting recruitment root sales security service services staff support team "
    "tech webmaster".split()
)
"""Local parts that belong to a post, not to a person (RFC 2142 and common use)."""

FREE_MAIL_DOMAINS: Final = frozenset(
    "aim.com aol.com att.net bigpond.com bluewin.ch btinternet.com comcast.net cox.net duck.com email.com "
    "fastmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net hey.com hotmail.co.uk "
    "hotmail.com hotmail.de hotmail.es hotmail.fr hotmail.it icloud.com laposte.net libero.it live.co.uk "
    "live.com live.nl mac.com mail.com mail.ru me.com msn.com naver.com orange.fr outlook.com outlook.de "
    "pm.me proton.me protonmail.com qq.com rediffmail.com rocketmail.com sbcglobal.net sfr.fr sky.com "
    "t-online.de terra.com.br tutanota.com uol.com.br verizon.net wanadoo.fr web.de yahoo.ca yahoo.co.in "
    "yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.br yahoo.de yahoo.es yahoo.fr yahoo.in yahoo.it yandex.ru "
    "ymail.com zoho.com 126.com 163.com".split()
)
"""Domains where anyone may have a mailbox: no evidence of an organisation."""

DISPOSABLE_DOMAINS: Final = frozenset(
    "10minutemail.com dispostable.com fakeinbox.com getnada.com guerrillamail.com maildrop.cc mailinator.com "
    "mailnesia.com moakt.com sharklasers.com spam4.me temp-mail.org tempmail.com throwawaymail.com "
    "trashmail.com yopmail.com".split()
)
"""Domains of mailboxes to throw away: shared by strangers by design."""

PLACEHOLDER_DOMAINS: Final = frozenset(
    "a.com abc.com email.invalid example.com example.net example.org fake.com na.com nomail.com none.com "
    "nowhere.com test.com xyz.invalid".split()
)
"""Domains that people type to get past a required field (RFC 2606 and common use)."""

PLACEHOLDER_MAILBOXES: Final = frozenset(
    "a abc anonymous asdf dummy email fake me n/a na name no noemail nobody nomail none null test tester "
    "testing unknown user x xx xxx".split()
)
"""Local parts that stand for no address."""

DOMAIN_TYPOS: Final = {
    "gamil.com": "gmail.com",
    "gmai.com": "gmail.com",
    "gmail.co": "gmail.com",
    "gmail.con": "gmail.com",
    "gmal.com": "gmail.com",
    "gmial.com": "gmail.com",
    "gnail.com": "gmail.com",
    "googlemail.com": "gmail.com",
    "hotmai.com": "hotmail.com",
    "hotmail.con": "hotmail.com",
    "hotmial.com": "hotmail.com",
    "hotmil.com": "hotmail.com",
    "iclod.com": "icloud.com",
    "icloud.con": "icloud.com",
    "outlok.com": "outlook.com",
    "outlook.con": "outlook.com",
    "yaho.com": "yahoo.com",
    "yahoo.con": "yahoo.com",
    "yhoo.com": "yahoo.com",
}
"""Spellings of large providers that are mistakes, and one that is an alias."""

SHARED_HOSTS: Final = frozenset(
    "blogspot.com facebook.com github.com github.io google.com instagram.com linkedin.com linktr.ee "
    "medium.com myshopify.com notion.site sites.google.com twitter.com weebly.com wikipedia.org wix.com "
    "wixsite.com wordpress.com x.com youtube.com".split()
)
"""Hosts where many organisations have a page: a link there names none of them."""

LEGAL_FORMS: Final = frozenset(
    "ab ag aktiengesellschaft as asa bhd bv bvba co company corp corporation cv dba doo ek eg ev gbr gesmbh "
    "gmbh group holding holdings inc incorporated international kft kg kgaa kk limited lda llc llp lp ltd "
    "ltda mbh nv ohg oy oyj plc private pte pty pvt sa sae sarl sas sasu se sl slu spa spzoo srl sro ug "
    "und unlimited".split()
)
"""Words at the end of a company's name that say its form, folded and without dots."""

LEGAL_LINKS: Final = frozenset({"and", "und", "et", "y", "e"})
"""Words left over at the end once a legal form has gone, as in `GmbH & Co`."""

TITLES: Final = frozenset("dipl dr frau herr ing mag miss mr mrs ms mx prof professor sir".split())
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

DEGREES: Final = frozenset("ba bsc cpa esq ma mba md msc phd".split())
"""Letters after a name that say nothing of who it is."""

PLACEHOLDER_NAMES: Final = frozenset(
    "admin anonymous customer contact dummy fname first firstname guest info last lastname lname lead me n/a na name "
    "noname nobody none null office sales surname team test tester testing unbekannt unknown user x xx xxx".split()
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
