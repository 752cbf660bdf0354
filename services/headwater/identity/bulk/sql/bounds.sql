-- The pairs that may reach the threshold, by the bound of `macros.sql`.

-- name: set_bound
-- The numbers behind the macros: $bound, one field per comparison.
SET VARIABLE bound = $bound

-- name: shared_values
-- The generic values $shared.
CREATE OR REPLACE TEMP TABLE shared_value AS SELECT unnest($shared::VARCHAR[]) AS value

-- name: people
-- What the bound reads of each person; generic numbers are not its own. In the file, where it is a quarter as large.
CREATE OR REPLACE TABLE person AS
WITH whole AS (
    SELECT
        n, coalesce(given, '') AS given, coalesce(family, '') AS family,
        coalesce(full_names, []) AS full_names, coalesce(spelt, '') AS spelt,
        coalesce(boxes, []) AS boxes, coalesce(local, '') AS local, coalesce(digits, '') AS digits,
        coalesce(domain, '') AS domain, coalesce(free, FALSE) AS free,
        coalesce(phones, []) AS phones, coalesce(linkedin, '') AS linkedin,
        coalesce(organisation, '') AS organisation, coalesce(domains, []) AS domains,
        coalesce(house, '') AS house, coalesce(street, '') AS street,
        coalesce(city, '') AS city, coalesce(state, '') AS state, coalesce(country, '') AS country,
        coalesce(title, '') AS title, coalesce(postcode, '') AS postcode, coalesce(birth, '') AS birth,
        coalesce(others, []) AS others
    FROM line
), own AS (
    SELECT number.n, list(number.phone) AS own_phones
    FROM (SELECT n, unnest(phones) AS phone FROM line) AS number
    ANTI JOIN shared_value ON shared_value.value = number.phone
    GROUP BY number.n
)
SELECT
    whole.*,
    split_part(given, ' ', 1) AS first,
    CASE WHEN length(split_part(given, ' ', 1)) >= 3 THEN split_part(given, ' ', 1) ELSE '' END AS told_given,
    CASE WHEN length(split_part(family, ' ', 1)) >= 3 THEN split_part(family, ' ', 1) ELSE '' END AS told_family,
    replace(given || family, ' ', '') AS joined,
    replace(given, ' ', '') AS given_joined,
    replace(family, ' ', '') AS family_joined,
    replace(organisation, ' ', '') AS work_joined,
    coalesce(boxes[1], '') AS box,
    len(boxes) > 1 AS more_boxes,
    coalesce(phones[1], '') AS phone,
    len(phones) > 1 AS more_phones,
    coalesce(own.own_phones[1], '') AS own_phone,
    coalesce(len(own.own_phones) > 1, FALSE) AS more_own_phones,
    coalesce(domains[1], '') AS work,
    len(domains) > 1 AS more_domains,
    NOT contains(given, ' ') AND NOT contains(family, ' ') AS plain,
    coalesce(own.own_phones, []) AS own_phones,
    string_split(organisation, ' ') AS words,
    replace(replace(organisation, ' and ', ''), ' ', '') AS squeezed,
    CASE WHEN len(domains) > 0 THEN replace(split_part(domains[1], '.', 1), '-', '') ELSE '' END AS label,
    array_to_string(list_sort(string_split(street, ' ')), ' ') AS street_sorted,
    array_to_string(list_sort(string_split(title, ' ')), ' ') AS title_sorted
FROM whole LEFT JOIN own ON own.n = whole.n

-- name: create_likely
-- Pairs that a worker looks at.
CREATE OR REPLACE TABLE likely (low BIGINT NOT NULL, high BIGINT NOT NULL)

-- name: likely
-- The candidate pairs from record $start to before $stop that may reach $bits_min. What costs most to
-- compare is taken at its best first, and compared where the pair still may.
INSERT INTO likely
WITH who AS NOT MATERIALIZED (
    SELECT
        n, given, family, first, given_joined, family_joined, joined, plain, full_names,
        told_given, told_family, spelt, box, boxes, more_boxes, local, digits, domain, free,
        phone, phones, more_phones, own_phone, own_phones, more_own_phones, linkedin,
        organisation, work, domains, more_domains, label, title, street,
        house, city, state, country, postcode, birth, others
    FROM person
), what AS NOT MATERIALIZED (
    SELECT
        n, organisation, words, work_joined, squeezed, work, label,
        title, title_sorted, street, street_sorted
    FROM person
), pair AS (
    SELECT
        candidate.low, candidate.high, a, b,
        meet(a.more_boxes, a.box, a.boxes, b.more_boxes, b.box, b.boxes) AS same_mail,
        meet(a.more_domains, a.work, a.domains, b.more_domains, b.work, b.domains)
        OR (a.organisation <> '' AND a.organisation = b.organisation) AS same_work,
        meet(a.more_own_phones, a.own_phone, a.own_phones, b.more_own_phones, b.own_phone, b.own_phones) AS same_phone,
        a.box <> '' AND b.box <> '' AND NOT (a.more_boxes OR b.more_boxes)
        AND a.domain = b.domain AND NOT a.free AS one_domain
    FROM candidate
    INNER JOIN who AS a ON a.n = candidate.low
    INNER JOIN who AS b ON b.n = candidate.high
    WHERE candidate.low >= $start AND candidate.low < $stop
), fast AS (
    SELECT
        low, high, a, b, same_work,
        same_mail OR one_domain OR same_phone AS told_so,
        getvariable('bound').prior
        + name_bits(
            a, b,
            given_class(a, b) + CASE
                WHEN NOT same_mail AND told(a.told_given, a.spelt, b.told_given, b.spelt) THEN 6 ELSE 0
            END,
            family_class(a, b) + CASE
                WHEN NOT same_mail AND told(a.told_family, a.spelt, b.told_family, b.spelt) THEN 6 ELSE 0
            END,
            getvariable('bound').given_rare, getvariable('bound').family_rare
        )
        + mail_bits(a, b, same_mail)
        + phone_bits(a, b, same_work, same_phone)
        + CASE
            WHEN a.linkedin = '' OR b.linkedin = '' THEN 0.0
            WHEN a.linkedin = b.linkedin THEN getvariable('bound').linkedin[1] ELSE getvariable('bound').linkedin[2]
        END
        + place_bits(a, b, same_work OR same_mail OR one_domain OR same_phone)
        + code_bits(a.house, b.house, same_work, getvariable('bound').house)
        + code_bits(a.postcode, b.postcode, same_work, getvariable('bound').postcode)
        + code_bits(a.birth, b.birth, FALSE, getvariable('bound').birth)
        + CASE
            WHEN len(a.others) = 0 OR len(b.others) = 0 THEN 0.0
            ELSE len(list_intersect(a.others, b.others)) * getvariable('bound').other
        END AS sum
    FROM pair
), hopeful AS MATERIALIZED (
    SELECT low, high, told_so, same_work, sum
    FROM (
        SELECT
            low, high, told_so, same_work, sum,
            organisation_most(a, b, same_work, told_so) AS organisation_best,
            text_most(a.title, b.title, FALSE, getvariable('bound').title) AS title_best,
            text_most(a.street, b.street, same_work, getvariable('bound').street) AS street_best
        FROM fast
    ) AS summed
    WHERE sum + organisation_best + title_best + street_best >= $bits_min
)
SELECT hopeful.low, hopeful.high
FROM hopeful
INNER JOIN what AS a ON a.n = hopeful.low
INNER JOIN what AS b ON b.n = hopeful.high
WHERE sum + organisation_bits(a, b, same_work, told_so)
    + text_bits(a.title, b.title, a.title_sorted, b.title_sorted, FALSE, getvariable('bound').title)
    + text_bits(a.street, b.street, a.street_sorted, b.street_sorted, same_work, getvariable('bound').street)
    >= $bits_min

-- name: forget_people
-- What no later stage reads.
DROP TABLE person

-- name: take_all
-- Every candidate pair, where there is no bound.
INSERT INTO likely SELECT low, high FROM candidate

-- name: count_likely
-- How many pairs a worker looks at.
SELECT count(*) FROM likely

-- name: list_likely
-- The pairs that a worker looks at, in order.
SELECT low, high FROM likely ORDER BY low, high
