-- sqlfluff:dialect:duckdb
-- The most bits that a pair of people can score, from what a database compares fast: where even that is
-- too little, no worker looks at the pair. Each macro mirrors one comparison of domain.scoring.fields and
-- never says less than it; tests hold that against the exact score. Variables are set by `bounds.py`.

-- name: alike
-- Whether two words may be spellings of one; 0.02 below the similarity that the domain asks for.
CREATE OR REPLACE TEMP MACRO alike(a, b, similarity_min) AS
    damerau_levenshtein(a, b) <= 2
    OR jaro_winkler_similarity(least(a, b), greatest(a, b)) >= similarity_min - 0.02

-- name: given_class
-- Class of two given names: 0 equal, 1 equal without spaces, 2 may be one, 3 initial, 4 differ, 5 unknown.
CREATE OR REPLACE TEMP MACRO given_class(a, b) AS CASE
    WHEN a.given = '' OR b.given = '' THEN 5
    WHEN a.given = b.given THEN CASE WHEN length(a.given) > 1 THEN 0 ELSE 3 END
    WHEN length(a.first) = 1 OR length(b.first) = 1 THEN CASE WHEN a.first[1] = b.first[1] THEN 3 ELSE 4 END
    WHEN replace(a.given, ' ', '') = replace(b.given, ' ', '') THEN 1
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
    WHEN replace(a.family, ' ', '') = replace(b.family, ' ', '') THEN 1
    WHEN contains(a.family, ' ') OR contains(b.family, ' ') THEN 2
    WHEN alike(a.family, b.family, 0.90) THEN 2
    ELSE 4
END

-- name: told
-- Whether a mailbox of one side spells the name that the other gives.
CREATE OR REPLACE TEMP MACRO told(word_a, spelt_a, word_b, spelt_b) AS
    (word_a <> '' AND contains(spelt_b, word_a)) OR (word_b <> '' AND contains(spelt_a, word_b))

-- name: name_bits
-- Names: the best of all levels that the classes leave open; rarity where the part may be equal; a swap.
CREATE OR REPLACE TEMP MACRO name_bits(a, b, given_at, family_at, given_rare, family_rare) AS greatest(
    getvariable('names')[(given_at * 12 + family_at) * 4 + 1] + given_rare + family_rare,
    getvariable('names')[(given_at * 12 + family_at) * 4 + 2] + given_rare,
    getvariable('names')[(given_at * 12 + family_at) * 4 + 3] + family_rare,
    getvariable('names')[(given_at * 12 + family_at) * 4 + 4],
    CASE
        WHEN given_at IN (0, 6) AND family_at IN (0, 6) THEN -1000.0
        WHEN a.given = b.family OR a.family = b.given OR a.joined = b.joined OR NOT a.plain OR NOT b.plain
        THEN getvariable('swapped')
        ELSE -1000.0
    END
)

-- name: mail_bits
-- Mailboxes.
CREATE OR REPLACE TEMP MACRO mail_bits(a, b) AS CASE
    WHEN len(a.boxes) = 0 OR len(b.boxes) = 0 THEN 0.0
    WHEN list_has_any(a.boxes, b.boxes) THEN greatest(0.0, getvariable('mail')[1])
    WHEN len(a.boxes) > 1 OR len(b.boxes) > 1 THEN list_max(getvariable('mail'))
    WHEN a.domain = b.domain THEN greatest(
        CASE
            WHEN a.digits = b.digits AND damerau_levenshtein(a.local, b.local) <= 2
            THEN getvariable('mail')[2] ELSE -1000.0
        END,
        CASE WHEN a.free THEN getvariable('mail')[5] ELSE getvariable('mail')[4] END
    )
    WHEN a.digits <> '' AND a.local = b.local THEN getvariable('mail')[3]
    WHEN a.free AND b.free THEN getvariable('mail')[5]
    ELSE getvariable('mail')[6]
END

-- name: phone_bits
-- Numbers; a line that is generic follows from the organisation.
CREATE OR REPLACE TEMP MACRO phone_bits(a, b, same_work) AS CASE
    WHEN len(a.phones) = 0 OR len(b.phones) = 0 THEN 0.0
    WHEN list_has_any(a.own_phones, b.own_phones) THEN getvariable('phone')[1]
    WHEN list_has_any(a.phones, b.phones)
    THEN CASE WHEN same_work THEN 0.0 ELSE greatest(0.0, getvariable('phone')[3]) END
    WHEN len(a.own_phones) < len(a.phones) OR len(b.own_phones) < len(b.phones) THEN 0.0
    WHEN len(a.phones) > 1 OR len(b.phones) > 1 OR damerau_levenshtein(a.phones[1], b.phones[1]) <= 1
    THEN greatest(getvariable('phone')[2], getvariable('phone')[4])
    ELSE getvariable('phone')[4]
END

-- name: have_word
-- Whether two names of organisations have a word in common, or nearly.
CREATE OR REPLACE TEMP MACRO have_word(a, b) AS
    list_has_any(a.words, b.words)
    OR damerau_levenshtein(a.squeezed, b.squeezed) <= 2
    OR damerau_levenshtein(replace(a.organisation, ' ', ''), replace(b.organisation, ' ', '')) <= 2
    OR len(list_filter(
        a.words, lambda x: len(list_filter(b.words, lambda y: damerau_levenshtein(x, y) <= 2)) > 0
    )) > 0

-- name: domain_bits
-- The name of one organisation and the domain of the other.
CREATE OR REPLACE TEMP MACRO domain_bits(squeezed, label) AS CASE
    WHEN squeezed = label THEN getvariable('organisation')[1]
    WHEN jaro_winkler_similarity(squeezed, label) > 0.9 THEN getvariable('organisation')[2]
    ELSE getvariable('organisation')[5]
END

-- name: organisation_bits
-- Where two people work, unless mailbox or number has told it.
CREATE OR REPLACE TEMP MACRO organisation_bits(a, b, same_work, told_so) AS CASE
    WHEN same_work THEN CASE WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('organisation')[1]) END
    WHEN a.organisation <> '' AND b.organisation <> '' THEN CASE
        WHEN NOT have_word(a, b) THEN getvariable('organisation')[5]
        WHEN told_so THEN greatest(0.0, getvariable('organisation')[5])
        ELSE greatest(0.0, getvariable('organisation_alike'))
    END
    WHEN len(a.domains) > 0 AND len(b.domains) > 0 THEN getvariable('organisation')[5]
    WHEN a.organisation <> '' AND len(b.domains) > 0
    THEN greatest(CASE WHEN told_so THEN 0.0 ELSE -1000.0 END, domain_bits(a.squeezed, b.label))
    WHEN b.organisation <> '' AND len(a.domains) > 0
    THEN greatest(CASE WHEN told_so THEN 0.0 ELSE -1000.0 END, domain_bits(b.squeezed, a.label))
    ELSE 0.0
END

-- name: place_bits
-- Where two records are, unless what they share has told it.
CREATE OR REPLACE TEMP MACRO place_bits(a, b, told_so) AS CASE
    WHEN a.city <> '' AND b.city <> '' THEN CASE
        WHEN a.city = b.city OR jaro_winkler_similarity(a.city, b.city) > 0.9
            OR jaro_winkler_similarity(b.city, a.city) > 0.9
        THEN CASE WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('place')[1]) END
        ELSE getvariable('place')[3]
    END
    WHEN a.state <> '' AND b.state <> '' THEN CASE
        WHEN a.state <> b.state THEN getvariable('place')[3]
        WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('place')[2])
    END
    WHEN a.country <> '' AND b.country <> '' THEN CASE
        WHEN a.country <> b.country THEN getvariable('place')[3]
        WHEN told_so THEN 0.0 ELSE greatest(0.0, getvariable('place')[2])
    END
    ELSE 0.0
END

-- name: text_bits
-- Two texts with the bits of their levels; sorted: their words in order.
CREATE OR REPLACE TEMP MACRO text_bits(x, y, sorted_x, sorted_y, bits) AS CASE
    WHEN x = '' OR y = '' THEN 0.0
    WHEN x = y THEN bits[1]
    WHEN levenshtein(sorted_x, sorted_y) <= 0.21 * (length(x) + length(y))
        OR alike(x, y, 0.9) THEN greatest(bits[2], bits[3], bits[4])
    ELSE bits[4]
END

-- name: code_bits
-- Two codes with the bits of their levels.
CREATE OR REPLACE TEMP MACRO code_bits(x, y, bits) AS CASE
    WHEN x = '' OR y = '' THEN 0.0
    WHEN x = y THEN bits[1]
    WHEN damerau_levenshtein(x, y) <= 2 THEN greatest(bits[2], bits[3], bits[4])
    ELSE bits[4]
END

-- name: people
-- What the bound reads of each person; generic numbers are not its own.
CREATE OR REPLACE TABLE person AS
SELECT
    n,
    coalesce(given, '') AS given, coalesce(first, '') AS first, coalesce(family, '') AS family,
    coalesce(joined, '') AS joined, coalesce(plain, FALSE) AS plain, coalesce(full_names, []) AS full_names,
    coalesce(told_given, '') AS told_given, coalesce(told_family, '') AS told_family, coalesce(spelt, '') AS spelt,
    coalesce(boxes, []) AS boxes, coalesce(local, '') AS local, coalesce(digits, '') AS digits,
    coalesce(domain, '') AS domain, coalesce(free, FALSE) AS free,
    coalesce(phones, []) AS phones,
    list_filter(coalesce(phones, []), lambda x: NOT list_contains($shared, x)) AS own_phones,
    coalesce(linkedin, '') AS linkedin,
    coalesce(organisation, '') AS organisation, string_split(coalesce(organisation, ''), ' ') AS words,
    coalesce(domains, []) AS domains, coalesce(squeezed, '') AS squeezed, coalesce(label, '') AS label,
    coalesce(house, '') AS house, coalesce(street, '') AS street,
    array_to_string(list_sort(string_split(coalesce(street, ''), ' ')), ' ') AS street_sorted,
    coalesce(city, '') AS city, coalesce(state, '') AS state, coalesce(country, '') AS country,
    coalesce(title, '') AS title,
    array_to_string(list_sort(string_split(coalesce(title, ''), ' ')), ' ') AS title_sorted,
    coalesce(postcode, '') AS postcode, coalesce(birth, '') AS birth, coalesce(others, []) AS others
FROM line

-- name: create_likely
-- Pairs that a worker looks at.
CREATE OR REPLACE TABLE likely (low BIGINT NOT NULL, high BIGINT NOT NULL)

-- name: likely
-- The candidate pairs from record $start to before $stop that may reach $bits_min, with their bound.
INSERT INTO likely
WITH pair AS (
    SELECT
        candidate.low, candidate.high, a, b,
        len(a.boxes) > 0 AND list_has_any(a.boxes, b.boxes) AS same_mail,
        list_has_any(a.domains, b.domains) OR (a.organisation <> '' AND a.organisation = b.organisation) AS same_work,
        list_has_any(a.own_phones, b.own_phones) AS same_phone,
        len(a.boxes) = 1 AND len(b.boxes) = 1 AND a.domain = b.domain AND NOT a.free AS one_domain,
        given_class(a, b) AS given_at,
        family_class(a, b) AS family_at
    FROM candidate
    INNER JOIN person AS a ON a.n = candidate.low
    INNER JOIN person AS b ON b.n = candidate.high
    WHERE candidate.low >= $start AND candidate.low < $stop
), named AS (
    SELECT
        *,
        given_at + CASE
            WHEN NOT same_mail AND told(a.told_given, a.spelt, b.told_given, b.spelt) THEN 6 ELSE 0
        END AS given_told,
        family_at + CASE
            WHEN NOT same_mail AND told(a.told_family, a.spelt, b.told_family, b.spelt) THEN 6 ELSE 0
        END AS family_told,
        same_mail OR one_domain OR same_phone AS told_so
    FROM pair
), cheap AS (
    SELECT
        *,
        getvariable('prior')
        + name_bits(a, b, given_told, family_told, getvariable('given_rare'), getvariable('family_rare'))
        + mail_bits(a, b)
        + phone_bits(a, b, same_work)
        + CASE
            WHEN a.linkedin = '' OR b.linkedin = '' THEN 0.0
            WHEN a.linkedin = b.linkedin THEN getvariable('linkedin')[1] ELSE getvariable('linkedin')[2]
        END
        + place_bits(a, b, same_work OR told_so)
        + code_bits(a.house, b.house, getvariable('house'))
        + code_bits(a.postcode, b.postcode, getvariable('postcode'))
        + code_bits(a.birth, b.birth, getvariable('birth'))
        + len(list_intersect(a.others, b.others)) * getvariable('other') AS bits
    FROM named
)
SELECT low, high
FROM cheap
WHERE bits
    + organisation_bits(a, b, same_work, told_so)
    + text_bits(a.title, b.title, a.title_sorted, b.title_sorted, getvariable('title'))
    + text_bits(a.street, b.street, a.street_sorted, b.street_sorted, getvariable('street'))
    >= $bits_min
