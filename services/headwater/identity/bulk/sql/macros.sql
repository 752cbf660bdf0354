-- The most bits that a pair of people can score, from what a database compares fast: where even that is
-- too little, no worker looks at the pair. Each macro mirrors one comparison of domain.scoring.fields and
-- never says less than it; tests hold that against the exact score. Variables are set by `bounds.py`.

-- name: near
-- Whether two words can be a slip apart: Jaro's similarity of those is 0.8 at the least.
CREATE OR REPLACE TEMP MACRO near(x, y) AS jaro_winkler_similarity(least(x, y), greatest(x, y)) >= 0.75

-- name: meet
-- Whether two lists have a value in common; most have one value, which stands beside the list.
CREATE OR REPLACE TEMP MACRO meet(many_a, one_a, list_a, many_b, one_b, list_b) AS CASE
    WHEN one_a = '' OR one_b = '' THEN FALSE
    WHEN one_a = one_b THEN TRUE
    WHEN many_a OR many_b THEN list_has_any(list_a, list_b)
    ELSE FALSE
END

-- name: slips
-- Whether two words are at most two slips apart. Most are told by the distance without transpositions, which
-- costs a sixth: it is never below, and at the most twice as large.
CREATE OR REPLACE TEMP MACRO slips(x, y) AS CASE
    WHEN abs(length(x) - length(y)) > 2 THEN FALSE
    WHEN levenshtein(x, y) <= 2 THEN TRUE
    WHEN levenshtein(x, y) > 4 THEN FALSE
    ELSE damerau_levenshtein(x, y) <= 2
END

-- name: alike
-- Whether two words may be spellings of one; 0.02 below the similarity that the domain asks for.
CREATE OR REPLACE TEMP MACRO alike(x, y, similarity_min) AS CASE
    WHEN NOT near(x, y) THEN FALSE
    WHEN jaro_winkler_similarity(least(x, y), greatest(x, y)) >= similarity_min - 0.02 THEN TRUE
    ELSE slips(x, y)
END

-- name: given_class
-- Class of two given names: 0 equal, 1 equal without spaces, 2 may be one, 3 initial, 4 differ, 5 unknown.
CREATE OR REPLACE TEMP MACRO given_class(a, b) AS CASE
    WHEN a.given = '' OR b.given = '' THEN 5
    WHEN a.given = b.given THEN CASE WHEN length(a.given) > 1 THEN 0 ELSE 3 END
    WHEN length(a.first) = 1 OR length(b.first) = 1 THEN CASE WHEN a.first[1] = b.first[1] THEN 3 ELSE 4 END
    WHEN a.given_joined = b.given_joined THEN 1
    WHEN a.first = b.first OR starts_with(a.first, b.first) OR starts_with(b.first, a.first) THEN 2
    WHEN list_has_any(a.full_names, b.full_names) THEN 2
    WHEN contains(a.given, ' ') <> contains(b.given, ' ')
        AND (contains(a.given, b.first) OR contains(b.given, a.first)) THEN 2
    WHEN alike(a.first, b.first, 0.88) THEN 2
    ELSE 4
END

-- name: family_class
-- Class of two family names, as of two given names.
CREATE OR REPLACE TEMP MACRO family_class(a, b) AS CASE
    WHEN a.family = '' OR b.family = '' THEN 5
    WHEN a.family = b.family THEN 0
    WHEN length(a.family) = 1 OR length(b.family) = 1 THEN CASE WHEN a.family[1] = b.family[1] THEN 3 ELSE 4 END
    WHEN a.family_joined = b.family_joined THEN 1
    WHEN contains(a.family, ' ') OR contains(b.family, ' ') THEN 2
    WHEN alike(a.family, b.family, 0.90) THEN 2
    ELSE 4
END

-- name: told
-- Whether a mailbox of one side spells the name that the other gives.
CREATE OR REPLACE TEMP MACRO told(word_a, spelt_a, word_b, spelt_b) AS
    (word_a <> '' AND contains(spelt_b, word_a)) OR (word_b <> '' AND contains(spelt_a, word_b))

-- name: name_bits
-- Names: the best of all levels that the classes leave open; rarity where the part may be equal; a swap,
-- which counts the family name's rarity.
CREATE OR REPLACE TEMP MACRO name_bits(a, b, given_at, family_at, given_rare, family_rare) AS greatest(
    getvariable('bound').names[(given_at * 12 + family_at) * 4 + 1] + given_rare + family_rare,
    getvariable('bound').names[(given_at * 12 + family_at) * 4 + 2] + given_rare,
    getvariable('bound').names[(given_at * 12 + family_at) * 4 + 3] + family_rare,
    getvariable('bound').names[(given_at * 12 + family_at) * 4 + 4],
    CASE
        WHEN given_at IN (0, 6) AND family_at IN (0, 6) THEN -1000.0
        WHEN a.given = b.family OR a.family = b.given OR a.joined = b.joined OR NOT a.plain OR NOT b.plain
        THEN getvariable('bound').swapped + family_rare
        ELSE -1000.0
    END
)

-- name: mail_bits
-- Mailboxes.
CREATE OR REPLACE TEMP MACRO mail_bits(a, b, same_mail) AS CASE
    WHEN a.box = '' OR b.box = '' THEN 0.0
    WHEN same_mail THEN greatest(0.0, getvariable('bound').mail[1])
    WHEN a.more_boxes OR b.more_boxes THEN list_max(getvariable('bound').mail)
    WHEN a.domain = b.domain THEN greatest(
        CASE WHEN a.digits = b.digits AND slips(a.local, b.local) THEN getvariable('bound').mail[2] ELSE -1000.0 END,
        CASE WHEN a.free THEN getvariable('bound').mail[5] ELSE getvariable('bound').mail[4] END
    )
    WHEN a.digits <> '' AND a.local = b.local THEN getvariable('bound').mail[3]
    WHEN a.free AND b.free THEN getvariable('bound').mail[5]
    ELSE getvariable('bound').mail[6]
END

-- name: phone_bits
-- Numbers; a line that is generic follows from the organisation.
CREATE OR REPLACE TEMP MACRO phone_bits(a, b, same_work, same_phone) AS CASE
    WHEN a.phone = '' OR b.phone = '' THEN 0.0
    WHEN same_phone THEN getvariable('bound').phone[1]
    WHEN meet(a.more_phones, a.phone, a.phones, b.more_phones, b.phone, b.phones)
    THEN CASE WHEN same_work THEN 0.0 ELSE greatest(0.0, getvariable('bound').phone[3]) END
    WHEN len(a.own_phones) < len(a.phones) OR len(b.own_phones) < len(b.phones) THEN 0.0
    WHEN a.more_phones OR b.more_phones THEN greatest(getvariable('bound').phone[2], getvariable('bound').phone[4])
    WHEN length(a.phone) <> length(b.phone) THEN getvariable('bound').phone[4]
    WHEN hamming(a.phone, b.phone) <= 1 THEN getvariable('bound').phone[2]
    ELSE getvariable('bound').phone[4]
END

-- name: have_word
-- Whether two names of organisations may be more than different: a word in common, a slip between the
-- names, or between the first word of the shorter one and any of the longer one.
CREATE OR REPLACE TEMP MACRO have_word(a, b) AS CASE
    WHEN list_has_any(a.words, b.words) THEN TRUE
    WHEN near(a.work_joined, b.work_joined) THEN TRUE
    WHEN len(a.words) = 1 OR len(b.words) = 1 THEN FALSE
    WHEN len(a.words) <= len(b.words)
    THEN len(list_filter(b.words, lambda word: near(a.words[1], word))) > 0
    ELSE len(list_filter(a.words, lambda word: near(b.words[1], word))) > 0
END

-- name: domain_bits
-- The name of one organisation and the domain of the other.
CREATE OR REPLACE TEMP MACRO domain_bits(squeezed, label) AS CASE
    WHEN squeezed = label THEN getvariable('bound').organisation[1]
    WHEN jaro_winkler_similarity(squeezed, label) > 0.9 THEN getvariable('bound').organisation[2]
    ELSE getvariable('bound').organisation[5]
END

-- name: organisation_bits
-- Where two people work, unless mailbox or number has told it.
CREATE OR REPLACE TEMP MACRO organisation_bits(a, b, same_work, told_so) AS CASE
    WHEN same_work THEN CASE WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('bound').organisation[1]) END
    WHEN a.organisation <> '' AND b.organisation <> '' THEN CASE
        WHEN NOT have_word(a, b) THEN getvariable('bound').organisation[5]
        WHEN told_so THEN greatest(0.0, getvariable('bound').organisation[5])
        ELSE greatest(0.0, getvariable('bound').organisation_alike)
    END
    WHEN a.work <> '' AND b.work <> '' THEN getvariable('bound').organisation[5]
    WHEN a.organisation <> '' AND b.work <> ''
    THEN greatest(CASE WHEN told_so THEN 0.0 ELSE -1000.0 END, domain_bits(a.squeezed, b.label))
    WHEN b.organisation <> '' AND a.work <> ''
    THEN greatest(CASE WHEN told_so THEN 0.0 ELSE -1000.0 END, domain_bits(b.squeezed, a.label))
    ELSE 0.0
END

-- name: organisation_most
-- The most that `organisation_bits` can say, from what costs nothing to compare.
CREATE OR REPLACE TEMP MACRO organisation_most(a, b, same_work, told_so) AS CASE
    WHEN told_so THEN greatest(0.0, getvariable('bound').organisation[5])
    WHEN same_work THEN greatest(0.0, getvariable('bound').organisation[1])
    WHEN a.organisation <> '' AND b.organisation <> '' THEN greatest(0.0, getvariable('bound').organisation_alike)
    WHEN a.work <> '' AND b.work <> '' THEN getvariable('bound').organisation[5]
    WHEN (a.organisation <> '' AND b.label <> '') OR (b.organisation <> '' AND a.label <> '')
    THEN greatest(0.0, list_max(getvariable('bound').organisation))
    ELSE 0.0
END

-- name: text_most
-- The most that `text_bits` can say.
CREATE OR REPLACE TEMP MACRO text_most(x, y, told_so, bits) AS CASE
    WHEN x = '' OR y = '' THEN 0.0
    WHEN told_so THEN greatest(0.0, bits[4])
    WHEN x = y THEN greatest(0.0, bits[1])
    ELSE greatest(0.0, bits[2], bits[3], bits[4])
END

-- name: place_bits
-- Where two records are, unless what they share has told it.
CREATE OR REPLACE TEMP MACRO place_bits(a, b, told_so) AS CASE
    WHEN a.city <> '' AND b.city <> '' THEN CASE
        WHEN a.city = b.city OR jaro_winkler_similarity(a.city, b.city) > 0.9
            OR jaro_winkler_similarity(b.city, a.city) > 0.9
        THEN CASE WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('bound').place[1]) END
        ELSE getvariable('bound').place[3]
    END
    WHEN a.state <> '' AND b.state <> '' THEN CASE
        WHEN a.state <> b.state THEN getvariable('bound').place[3]
        WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('bound').place[2])
    END
    WHEN a.country <> '' AND b.country <> '' THEN CASE
        WHEN a.country <> b.country THEN getvariable('bound').place[3]
        WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('bound').place[2])
    END
    ELSE 0.0
END

-- name: alike_bits
-- The most that two texts or codes can say that are alike, not equal.
CREATE OR REPLACE TEMP MACRO alike_bits(told_so, bits) AS
    CASE WHEN told_so THEN greatest(0.0, bits[4]) ELSE greatest(0.0, bits[2], bits[3], bits[4]) END

-- name: text_bits
-- Two texts with the bits of their levels, unless what they share has told that they are alike; sorted: their words
-- in order.
CREATE OR REPLACE TEMP MACRO text_bits(x, y, sorted_x, sorted_y, told_so, bits) AS CASE
    WHEN x = '' OR y = '' THEN 0.0
    WHEN x = y THEN CASE WHEN told_so THEN 0.0 ELSE greatest(0.0, bits[1]) END
    WHEN alike(x, y, 0.9) THEN alike_bits(told_so, bits)
    WHEN jaro_winkler_similarity(sorted_x, sorted_y) < 0.65 THEN bits[4]
    WHEN levenshtein(sorted_x, sorted_y) <= 0.21 * (length(x) + length(y)) THEN alike_bits(told_so, bits)
    ELSE bits[4]
END

-- name: code_bits
-- Two codes with the bits of their levels, unless what they share has told that they are alike.
CREATE OR REPLACE TEMP MACRO code_bits(x, y, told_so, bits) AS CASE
    WHEN x = '' OR y = '' THEN 0.0
    WHEN x = y THEN CASE WHEN told_so THEN 0.0 ELSE greatest(0.0, bits[1]) END
    WHEN slips(x, y) THEN alike_bits(told_so, bits)
    ELSE bits[4]
END
