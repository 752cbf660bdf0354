"""Small tables of legal forms of companies. Facts only; must not hold a decision.

Origin: own knowledge; which forms exist where was checked against ISO 20275 (GLEIF's code list) as the
open project rigour (MIT) publishes it. Rows are written folded, initials joined, the common spelling first.
"""

from __future__ import annotations

from typing import Final

LEGAL_FORMS: Final = (
    # English
    "inc: inc, incorporated, incorporation, incorp",
    "corp: corp, corporation, corpn",
    "co: co, company, companies, cia, compania, companhia, compagnie, cie",
    (
        "ltd: ltd, limited, ltda, limitada, ld, lda, co ltd, company limited, coltd, limited company, cia ltda, "
        "pty ltd, pty limited, proprietary limited, pty, pte ltd, pte limited, pte, pvt ltd, pvt limited, pvt, "
        "private limited, private ltd, pvt ltd co, co pvt ltd, ltd co, tov, public company limited, pcl"
    ),
    (
        "llc: llc, llc fz, fz llc, fzllc, fzc, fzco, fze, limited liability company, limited liability co, ltd liability company, "
        "pllc, plc llc, wll, spc, dmcc"
    ),
    "plc: plc, public limited company, public ltd company, public limited",
    "llp: llp, lllp, limited liability partnership",
    "lp: lp, limited partnership, ilp",
    "unltd: unltd, unlimited, unlimited company, ulc",
    "dba: dba",
    "pc: professional corporation",
    "bhd: bhd, berhad, sdn bhd, sendirian berhad",
    "pt: pt, tbk, perseroan terbatas",
    "cic: cic, community interest company",
    # German
    (
        "gmbh: gmbh, mbh, gesmbh, gesellschaft mit beschrankter haftung, gesellschaft mbh, ges mbh, "
        "gesellschaft mit beschraenkter haftung, ggmbh"
    ),
    (
        "gmbhcokg: gmbh and co kg, gmbh co kg, gmbh und co kg, gmbh u co kg, mbh and co kg, gmbh cokg, gmbh and cokg, "
        "gmbh and co, gmbh and co ohg, ug and co kg, ag and co kg, se and co kg, se and co kgaa, gmbh and co kgaa, "
        "ag and co kgaa"
    ),
    "ag: ag, aktiengesellschaft, aktien gesellschaft, aktg, akg, gag",
    "ug: ug, unternehmergesellschaft, ug haftungsbeschrankt, unternehmergesellschaft haftungsbeschrankt, gug",
    "kg: kg, kommanditgesellschaft, cokg, co kg, and co kg",
    "kgaa: kgaa, kommanditgesellschaft auf aktien",
    "ohg: ohg, offene handelsgesellschaft, og",
    "gbr: gbr, gesellschaft burgerlichen rechts, egbr",
    "ek: ek, eingetragener kaufmann, eingetragene kauffrau, ekfm, ekfr",
    "eg: eg, eingetragene genossenschaft, egen",
    "ev: ev, eingetragener verein",
    "partg: partg, partgmbb, partg mbb, partnerschaftsgesellschaft",
    "se: se, societas europaea",
    # Dutch, Belgian
    "bv: bv, besloten vennootschap, bvba, besloten vennootschap met beperkte aansprakelijkheid",
    "nv: nv, naamloze vennootschap",
    "cv: cv, commanditaire vennootschap, cva, cvba",
    "vof: vof, vennootschap onder firma",
    "vzw: vzw, asbl, aisbl, ivzw",
    # French, Spanish, Portuguese, Italian, Romanian
    (
        "sa: sa, societe anonyme, sociedad anonima, sociedade anonima, societa anonima, sa de cv, sapi de cv, sab de cv, "
        "sacv, sau, sociedad anonima de capital variable, sociedade anonima fechada"
    ),
    "sas: sas, sasu, societe par actions simplifiee, sociedad por acciones simplificada",
    "sarl: sarl, eurl, suarl, societe a responsabilite limitee, sprl",
    "snc: snc, societe en nom collectif, societa in nome collettivo",
    "sca: sca, scs, scop, societe en commandite",
    "sci: sci, societe civile immobiliere",
    "sl: sl, slu, sll, sociedad limitada, sociedad limitada unipersonal",
    (
        "srl: srl, srls, societa a responsabilita limitata, sociedad de responsabilidad limitada, s de rl, "
        "s de rl de cv, societate cu raspundere limitata, societatea cu raspundere limitata, sc srl"
    ),
    "spa: spa, societa per azioni, sociedad por acciones",
    "sapa: sapa, sas di, societa in accomandita semplice",
    "scarl: scarl, scrl, societa cooperativa, soc coop",
    "eireli: eireli, eirl",
    # Nordic, Baltic
    "ab: ab, aktiebolag, aktiebolaget, abp, publ, ab publ",
    (
        "as: as, asa, aktieselskab, aktieselskabet, aksjeselskap, allmennaksjeselskap, akciova spolecnost, anonim sirketi, "
        "anonim sirket, aktsiaselts, akciju sabiedriba"
    ),
    "aps: aps, anpartsselskab",
    "ks: kommanditselskab",
    "hb: hb, handelsbolag, kommanditbolag",
    "oy: oy, oyj, osakeyhtio, oy ab, oyj abp, julkinen osakeyhtio",
    "ehf: ehf, einkahlutafelag, hf, hlutafelag",
    "ou: ou, osauhing",
    "sia: sia, sabiedriba ar ierobezotu atbildibu",
    "uab: uab, uzdaroji akcine bendrove",
    # Central and eastern Europe, Turkey
    (
        "spzoo: spzoo, sp zoo, spz oo, spolka zoo, spolka z ograniczona odpowiedzialnoscia, sp z oo, sp zoo spk, "
        "spolka zoo spk, spolka z oo"
    ),
    "spk: spk, sp k, sp j, spj, spolka komandytowa, spolka jawna, spolka akcyjna",
    "sro: sro, spol sro, spolecnost s rucenim omezenym, spolocnost s rucenim obmedzenym",
    "kft: kft, korlatolt felelossegu tarsasag",
    "zrt: zrt, nyrt, zartkoruen mukodo reszvenytarsasag, nyilvanosan mukodo reszvenytarsasag, reszvenytarsasag",
    "bt: bt, beteti tarsasag",
    (
        "doo: doo, dooel, drustvo s ogranicenom odgovornoscu, druzba z omejeno odgovornostjo, "
        "drustvo sa ogranicenom odgovornoscu"
    ),
    "dd: dd, dionicko drustvo, delniska druzba, akcionarsko drustvo",
    "ood: ood, eood, druzhestvo s ogranichena otgovornost",
    "ead: ead, eadsits",
    "epe: epe, ike, etaireia periorismenis eythynis",
    "ae: ae, anonymi etaireia, anonimi eteria",
    "sti: sti, ltd sti, limited sirketi, sirketi",
    "shpk: shpk, sha",
    # Russian and its neighbours, as transliterated
    (
        "ooo: ooo, obshchestvo s ogranichennoy otvetstvennostyu, obshchestvo s ogranichennoi otvetstvennostiu, "
        "obshchestvo s ogranichennoj otvetstvennostyu, too, tovarishchestvo s ogranichennoy otvetstvennostyu, "
        "tovarystvo z obmezhenoyu vidpovidalnistyu"
    ),
    (
        "jsc: jsc, ojsc, cjsc, pjsc, ojsco, joint stock company, open joint stock company, closed joint stock company, "
        "public joint stock company, joint stock co, oao, zao, pao, ao, nao, aktsionernoe obshchestvo, "
        "aktsionernoye obshchestvo, otkrytoe aktsionernoe obshchestvo, otkrytoye aktsionernoye obshchestvo, "
        "zakrytoe aktsionernoe obshchestvo, zakrytoye aktsionernoye obshchestvo, "
        "publichnoe aktsionernoe obshchestvo, publichnoye aktsionernoye obshchestvo, pat, prat, "
        "aktsionerne tovarystvo, jsco"
    ),
    "ip: ip, individualnyy predprinimatel",
    "ano: ano, avtonomnaya nekommercheskaya organizatsiya",
    # Asia, as transliterated
    "kk: kk, kabushiki kaisha, kabushiki gaisha, kabushikigaisha, kabushikikaisha",
    "gk: gk, godo kaisha, godo gaisha",
    "yk: yk, yugen kaisha, yugen gaisha",
    "jusik: jusik hoesa, jusikhoesa, chusik hoesa, yuhan hoesa, yuhanhoesa",
    "cty: cty tnhh, cong ty tnhh, cong ty co phan, cong ty trach nhiem huu han",
    "psc: psc, pjsc psc, saog, saoc, sal, sarl al, sae",
)
"""`one spelling: spellings`; those of a language stand together."""

LEADING_WORDS: Final = frozenset(
    [
        "ooo", "oao", "zao", "pao", "pt", "uab", "jsc", "ojsc", "cjsc", "pjsc",
        "srl", "sarl", "limited liability company", "joint stock company", "open joint stock company",
        "closed joint stock company", "public joint stock company", "societatea cu raspundere limitata", "cty tnhh",
        "cong ty tnhh", "cong ty co phan", "cong ty trach nhiem huu han", "jusik hoesa", "jusikhoesa",
        "obshchestvo s ogranichennoy otvetstvennostyu", "aktsionernoe obshchestvo", "aktsionernoye obshchestvo",
        "otkrytoye aktsionernoye obshchestvo", "zakrytoye aktsionernoye obshchestvo",
        "publichnoye aktsionernoye obshchestvo", "kabushiki kaisha", "kabushiki gaisha", "perseroan terbatas",
    ]
)  # fmt: skip
"""Spellings of legal forms that also stand before a name."""

HAN_FORMS: Final = {
    "株式会社": "kk", "(株)": "kk", "有限会社": "yk", "(有)": "yk", "合同会社": "gk", "合資会社": "gk", "合名会社": "gk",
    "股份有限公司": "ltd", "有限责任公司": "ltd", "有限責任公司": "ltd", "有限公司": "ltd", "股份公司": "ltd",
    "주식회사": "jusik", "(주)": "jusik", "유한회사": "jusik", "(유)": "jusik",
}  # fmt: skip
"""Legal forms that stand without a space before or behind the name; longer ones first where one ends in another."""

CYRILLIC_FORMS: Final = {
    "ООО": "ooo", "ОАО": "jsc", "ЗАО": "jsc", "ПАО": "jsc", "НАО": "jsc", "АО": "jsc", "ТОО": "ooo", "ТОВ": "ooo",  # noqa: RUF001 - Cyrillic is meant
    "ИП": "ip", "АНО": "ano", "ФГУП": "fgup", "ГУП": "gup", "МУП": "mup", "ПАТ": "jsc", "ПРАТ": "jsc", "АТ": "jsc",  # noqa: RUF001 - Cyrillic is meant
    "ДП": "dp", "ЧП": "ip", "ТДВ": "ooo", "ЕООД": "ood", "ООД": "ood", "АД": "jsc", "ЕАД": "ead",
}  # fmt: skip
"""Legal forms in Cyrillic capitals: as words before or behind the name."""

LEGAL_LINKS: Final = frozenset({"and", "und", "et", "y", "e"})
"""Words left over at the end once a legal form has gone, as in `GmbH & Co`."""
