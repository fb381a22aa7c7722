-- The generator: persons first, then the words that each bio needs, then the bios. Included by talents.sql.
--
-- Chance comes from draw(id, salt, size): a number in 0 .. size - 1 that hangs on the seed, the talent and the salt,
-- one salt per decision. hashint8extended works on integers only, so that neither byte order nor collation matter.
-- No floating point anywhere: rounding may differ between machines.

-- The seed is written into the function, so that the planner can inline it into every expression.
SELECT format($$
    CREATE OR REPLACE FUNCTION pg_temp.draw(id bigint, salt integer, size integer) RETURNS integer
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ((hashint8extended(salt, hashint8extended(id, %s)) >> 2) & 2305843009213693951) %% size
$$, :seed::bigint) \gexec

-- 1. Pools: lists in which each entry stands as often as it weighs. Orders are given in "C", the same everywhere.

CREATE TEMPORARY TABLE demo_community_pool ON COMMIT DROP AS
SELECT (row_number() OVER (ORDER BY community COLLATE "C", copy) - 1)::integer AS n, c.*
FROM demo_community AS c, generate_series(1, weight) AS copy;

SELECT count(*) AS communities FROM demo_community_pool \gset

CREATE TEMPORARY TABLE demo_city_pool ON COMMIT DROP AS
SELECT array_agg(city ORDER BY city COLLATE "C") AS cities
FROM demo_city, generate_series(1, weight);

-- Names: all pairs within a community. A stride prime to the number of pairs visits each once before any comes twice.
CREATE TEMPORARY TABLE demo_name_pool ON COMMIT DROP AS
SELECT community, sex, full_name, first_name,
    row_number() OVER (PARTITION BY community, sex ORDER BY i, j) - 1 AS n
FROM (
    SELECT community, sex, i, j, first_name, first_name || ' ' || last_name AS full_name
    FROM demo_name,
        LATERAL (VALUES ('f', female), ('m', male)) AS given (sex, names),
        unnest(names) WITH ORDINALITY AS f (first_name, i),
        unnest(surname) WITH ORDINALITY AS s (last_name, j)
) AS pair
WHERE full_name NOT IN (SELECT full_name FROM demo_famous);

-- Parts and skills open to each sex and age.
CREATE TEMPORARY TABLE demo_archetype_pool ON COMMIT DROP AS
SELECT sex, age, array_agg(archetype ORDER BY archetype COLLATE "C") AS archetypes
FROM demo_archetype, unnest('{f,m,x}'::text[]) AS sex, generate_series(min_age, max_age) AS age, generate_series(1, weight)
WHERE strpos(sexes, sex) > 0
GROUP BY sex, age;

CREATE TEMPORARY TABLE demo_skill_pool ON COMMIT DROP AS
SELECT age, array_agg(skill ORDER BY skill COLLATE "C") AS skills, count(*)::integer AS size
FROM demo_skill, generate_series(min_age, max_age) AS age, generate_series(1, weight)
GROUP BY age;

-- 2. Persons. Each step draws what hangs on the steps before it; MATERIALIZED, or every mention would draw again.

CREATE TEMPORARY TABLE demo_person ON COMMIT DROP AS
WITH origin AS MATERIALIZED (
    -- 48 % women, 49 % men, 3 % non-binary adults; ages as in an agency's books: mostly 20 to 45, some children.
    SELECT id, c.community, c.mother_tongue, c.near_city, c.further_languages, c.home_towns, c.native_skills,
        c.hindi_percent, band.lowest + pg_temp.draw(id, 4, band.span) AS age, pg_temp.draw(id, 2, 100) AS sex_draw
    FROM generate_series(1, :talents::bigint) AS id
        JOIN demo_community_pool AS c ON c.n = pg_temp.draw(id, 1, :communities)
        JOIN (VALUES (0, 40, 6, 7), (40, 90, 13, 5), (90, 300, 18, 7), (300, 600, 25, 10), (600, 790, 35, 10),
                (790, 900, 45, 10), (900, 965, 55, 10), (965, 1000, 65, 17)) AS band (above, below, lowest, span)
            ON pg_temp.draw(id, 3, 1000) >= band.above AND pg_temp.draw(id, 3, 1000) < band.below
), body AS MATERIALIZED (
    SELECT *,
        CASE WHEN sex_draw < 48 THEN 'f' WHEN sex_draw < 97 THEN 'm' WHEN age >= 18 THEN 'x' ELSE 'f' END AS sex,
        CASE WHEN sex_draw < 48 THEN 'f' WHEN sex_draw < 97 THEN 'm' ELSE (ARRAY['f', 'm'])[1 + sex_draw % 2] END
            AS name_sex,
        -- Most begin between 18 and 24, every seventh after another trade; children have had little time.
        CASE WHEN age < 13 THEN pg_temp.draw(id, 5, least(age - 4, 5))
            WHEN age < 18 THEN pg_temp.draw(id, 5, age - 9)
            WHEN pg_temp.draw(id, 6, 7) = 0 THEN greatest(0, age - 27 - pg_temp.draw(id, 5, 22))
            ELSE greatest(0, age - 18 - pg_temp.draw(id, 5, 7))
        END AS years,
        -- Sum of three draws: a bell from 0 to 99 that pulls fee, rating and demand the same way.
        (pg_temp.draw(id, 7, 100) + pg_temp.draw(id, 8, 100) + pg_temp.draw(id, 9, 100)) / 3 AS talent,
        home_towns[1 + pg_temp.draw(id, 10, cardinality(home_towns))] AS home,
        CASE WHEN pg_temp.draw(id, 11, 100) < 45 THEN 'Mumbai'
            WHEN pg_temp.draw(id, 11, 100) < 70 THEN near_city
            WHEN pg_temp.draw(id, 11, 100) < 97 THEN cities[1 + pg_temp.draw(id, 12, cardinality(cities))]
        END AS city
    FROM origin, demo_city_pool
), named AS MATERIALIZED (
    SELECT b.*, rank() OVER (PARTITION BY community, name_sex ORDER BY id) AS turn, size.name_size
    FROM body AS b
        JOIN (SELECT community, sex AS name_sex, count(*) AS name_size FROM demo_name_pool GROUP BY 1, 2) AS size
            USING (community, name_sex)
), cast_as AS MATERIALIZED (
    SELECT p.*, n.full_name, n.first_name,
        archetypes[1 + pg_temp.draw(id, 13, cardinality(archetypes))] AS archetype_1,
        archetypes[1 + pg_temp.draw(id, 14, cardinality(archetypes))] AS archetype_2
    FROM named AS p
        JOIN demo_name_pool AS n
            ON n.community = p.community AND n.sex = p.name_sex AND n.n = (p.turn * 7919) % p.name_size
        JOIN demo_archetype_pool AS part ON part.sex = p.sex AND part.age = p.age
)
SELECT p.*, language.languages, skill.skills, a.plural AS types_1, b.plural AS types_2, b.archetype AS other_archetype,
    -- NULL for the few who keep their age to themselves; everything else still follows the true one.
    CASE WHEN pg_temp.draw(p.id, 15, 80) > 0 THEN p.age END AS told_age,
    CASE WHEN p.years = 0 THEN pg_temp.draw(p.id, 16, 4) / 2
        ELSE least(p.years, 25) * pg_temp.draw(p.id, 16, 100) * (20 + p.talent) / 4000 END AS review_count
FROM cast_as AS p
    JOIN demo_archetype AS a ON a.archetype = p.archetype_1
    LEFT JOIN demo_archetype AS b ON b.archetype = p.archetype_2 AND p.archetype_2 <> p.archetype_1
    JOIN demo_skill_pool AS any_skill ON any_skill.age = p.age
    CROSS JOIN LATERAL (
        SELECT array_agg(spoken ORDER BY place) AS languages
        FROM (
            SELECT spoken, min(place) AS place
            FROM unnest(ARRAY[
                p.mother_tongue,
                CASE WHEN pg_temp.draw(p.id, 17, 100) < p.hindi_percent THEN 'Hindi' END,
                CASE WHEN pg_temp.draw(p.id, 18, 100) < 40 AND p.city IN ('Mumbai', 'Pune') THEN 'Marathi' END,
                CASE WHEN pg_temp.draw(p.id, 19, 100) < least(30 + 2 * p.age, 68) THEN 'English' END,
                CASE WHEN pg_temp.draw(p.id, 20, 100) < 30 THEN
                    p.further_languages[1 + pg_temp.draw(p.id, 21, cardinality(p.further_languages))] END
            ]) WITH ORDINALITY AS l (spoken, place)
            WHERE spoken IS NOT NULL
            GROUP BY spoken
        ) AS once
    ) AS language
    CROSS JOIN LATERAL (
        -- What the parts ask for, what home taught, and one to three skills that anybody may have.
        SELECT (array_agg(s.skill ORDER BY c.place))[1:4] AS skills
        FROM (
            SELECT candidate, min(place) AS place
            FROM unnest(ARRAY[
                CASE WHEN pg_temp.draw(p.id, 22, 100) < 55 THEN
                    a.skills[1 + pg_temp.draw(p.id, 23, cardinality(a.skills))] END,
                CASE WHEN pg_temp.draw(p.id, 31, 100) < 45 THEN
                    b.skills[1 + pg_temp.draw(p.id, 32, cardinality(b.skills))] END,
                CASE WHEN pg_temp.draw(p.id, 24, 100) < 30 THEN p.native_skills[1 + pg_temp.draw(p.id, 25, 4)] END,
                any_skill.skills[1 + pg_temp.draw(p.id, 26, any_skill.size)],
                CASE WHEN pg_temp.draw(p.id, 27, 100) < 55 THEN
                    any_skill.skills[1 + pg_temp.draw(p.id, 28, any_skill.size)] END,
                CASE WHEN pg_temp.draw(p.id, 29, 100) < 20 THEN
                    any_skill.skills[1 + pg_temp.draw(p.id, 30, any_skill.size)] END
            ]) WITH ORDINALITY AS u (candidate, place)
            GROUP BY candidate
        ) AS c
            JOIN demo_skill AS s ON s.skill = c.candidate AND p.age BETWEEN s.min_age AND s.max_age
    ) AS skill;

-- 3. Careers: fee, rating and demand follow experience and talent, with much noise.
CREATE TEMPORARY TABLE demo_career ON COMMIT DROP AS
WITH rated AS (
    SELECT *,
        -- Tenths. A few are hard to work with.
        least(50, greatest(12, 31 + talent * 17 / 100 + least(years, 20) / 5 + pg_temp.draw(id, 120, 9) - 4
            - CASE WHEN pg_temp.draw(id, 121, 25) = 0 THEN 11 ELSE 0 END)) AS tenths,
        2500 + 1400 * least(years, 30) + 90 * least(years, 30) * least(years, 30) AS usual_fee
    FROM demo_person
)
SELECT id, tenths,
    CASE WHEN pg_temp.draw(id, 122, 33) > 0 THEN (greatest(3, usual_fee::bigint * (40 + talent * 12 / 10)
        * (50 + pg_temp.draw(id, 123, 100) * pg_temp.draw(id, 124, 100) / 50)
        * CASE city WHEN 'Mumbai' THEN 115 ELSE 95 END / 1000000 / 500) * 500)::integer END AS day_rate,
    free.availability,
    date :'first_day' + CASE free.availability
        WHEN 'AVAILABLE' THEN - pg_temp.draw(id, 126, 30)
        WHEN 'BUSY' THEN CASE WHEN pg_temp.draw(id, 127, 10) > 0 THEN 10 + pg_temp.draw(id, 126, 170) END
        ELSE CASE WHEN pg_temp.draw(id, 127, 5) > 0 THEN 5 + pg_temp.draw(id, 126, 60) END
    END AS available_from,
    least(review_count, pg_temp.draw(id, 128, 4)) AS told_reviews,
    ARRAY(
        SELECT CASE WHEN grade >= 40 THEN 'good' WHEN grade >= 32 THEN 'fair' ELSE 'poor' END
        FROM generate_series(0, 2) AS turn, LATERAL (SELECT tenths + pg_temp.draw(id, 129 + turn, 11) - 5 AS grade) AS g
        ORDER BY turn
    ) AS tones
FROM rated
    CROSS JOIN LATERAL (
        SELECT CASE WHEN pg_temp.draw(id, 125, 100) < 72 - talent * 3 / 10 THEN 'AVAILABLE'
            WHEN pg_temp.draw(id, 125, 100) < 87 THEN 'BUSY' ELSE 'ON_HOLD' END AS availability
    ) AS free;

-- 4. Texts. Tags come off their front; what a person is decides which of them are open to him or her. All persons for
-- whom the same texts of a kind are open share a deck, numbered cards, so that a draw finds its card by a hash join.

INSERT INTO demo_text
SELECT 'role:' || archetype, phrasings FROM demo_archetype
UNION ALL SELECT 'skill:' || skill, clauses FROM demo_skill
UNION ALL SELECT 'title', (SELECT array_agg(title ORDER BY place) FROM demo_title)
-- Troupes and courses in every town.
UNION ALL SELECT kind || '_somewhere', ARRAY(
        SELECT DISTINCT replace(text, '{town}', town) COLLATE "C" AS somewhere
        FROM unnest(texts) AS text, (SELECT unnest(texts) AS town FROM demo_text WHERE kind = 'town') AS t
        ORDER BY somewhere)
    FROM demo_text WHERE kind IN ('troupe', 'course');

-- Slots that hang on a draw. A kind that ends in a colon is completed by what the person plays or speaks or can do; turn
-- tells apart slots that draw from the same deck. A slot's text holds no further slots but names, numbers and pronouns.
CREATE TEMPORARY TABLE demo_slot (slot text, kind text, turn integer, salt integer) ON COMMIT DROP;

INSERT INTO demo_slot VALUES
    ('{role1}', 'role:', 0, 60), ('{role2}', 'role:', 1, 60), ('{role0}', 'role:', 2, 60),
    ('{s1}', 'skill:', 0, 62), ('{s2}', 'skill:', 1, 62), ('{s3}', 'skill:', 2, 62), ('{s4}', 'skill:', 3, 62),
    ('{dialect}', 'dialect:', 0, 64), ('{title1}', 'title', 0, 66), ('{title2}', 'title', 1, 66), ('{title3}', 'title', 2, 66),
    ('{title4}', 'title', 3, 66), ('{format1}', 'format', 0, 68), ('{format2}', 'format', 1, 68), ('{format3}', 'format', 2, 68),
    ('{formats1}', 'formats', 0, 70), ('{formats2}', 'formats', 1, 70), ('{course}', 'course_somewhere', 0, 72),
    ('{course2}', 'course_somewhere', 1, 72), ('{troupe}', 'troupe_somewhere', 0, 74), ('{troupe2}', 'troupe_somewhere', 1, 74),
    ('{town}', 'town', 0, 76), ('{product}', 'product', 0, 78), ('{job}', 'job', 0, 80), ('{job2}', 'job', 1, 80),
    ('{family}', 'family', 0, 82), ('{spark}', 'spark', 0, 84), ('{luggage}', 'luggage', 0, 86), ('{ritual}', 'ritual', 0, 88),
    ('{self}', 'self', 0, 90), ('{halves}', 'halves', 0, 92), ('{crowd}', 'crowd', 0, 94), ('{prop}', 'prop', 0, 96),
    ('{prep}', 'prep', 0, 98), ('{note}', 'note', 0, 100), ('{hobby}', 'hobby', 0, 102), ('{place}', 'place', 0, 104),
    ('{weeks}', 'weeks', 0, 106), ('{trade}', 'trade', 0, 108), ('{temper}', 'temper', 0, 110), ('{look}', 'look', 0, 112),
    ('{voice}', 'voice', 0, 114);

CREATE TEMPORARY TABLE demo_phrase ON COMMIT DROP AS
SELECT kind, place, untagged AS text,
    string_to_array(nullif(replace(trim(left(tagged, -length(untagged))), '@', ''), ''), ' ') AS needs,
    ARRAY(SELECT slot FROM demo_slot WHERE strpos(untagged, slot) > 0) AS slots
FROM demo_text,
    unnest(texts) WITH ORDINALITY AS t (tagged, place),
    LATERAL (SELECT regexp_replace(tagged, '^(@[a-z0-9]+ )+', '') AS untagged) AS u;

CREATE TEMPORARY TABLE demo_person_tags ON COMMIT DROP AS
SELECT id, tags, dense_rank() OVER (ORDER BY tags)::integer AS situation
FROM (
    SELECT p.id, array_remove(ARRAY[
            CASE WHEN age < 13 THEN 'child' WHEN age < 18 THEN 'teen' ELSE 'adult' END,
            CASE WHEN age < 18 THEN 'minor' WHEN age <= 30 THEN 'young' WHEN age >= 45 THEN 'older' END,
            CASE WHEN age >= 58 THEN 'elder' END,
            sex,
            CASE WHEN told_age IS NOT NULL THEN 'age' END,
            CASE WHEN city IS NOT NULL THEN 'city' END,
            -- Neighbouring towns are no journey worth telling.
            CASE WHEN city <> home AND NOT (city = 'Goa' AND community = 'goan')
                AND NOT (city = 'Mumbai' AND home IN ('Thane', 'Vasai')) THEN 'migrant' END,
            CASE WHEN years = 0 THEN 'new' ELSE 'worked' END,
            CASE WHEN years >= 2 AND age >= 18 THEN 'years' END,
            CASE WHEN years >= 15 THEN 'veteran' END,
            CASE WHEN age - years >= 26 THEN 'late' END
        ], NULL) AS tags
    FROM demo_person AS p
) AS t;

-- Kinds without tags are dealt to everybody alike: situation 0.
CREATE TEMPORARY TABLE demo_kind ON COMMIT DROP AS
SELECT kind, array_agg(DISTINCT need) FILTER (WHERE need IS NOT NULL) AS tags, bool_or(need IS NOT NULL) AS is_tagged
FROM demo_phrase LEFT JOIN unnest(needs) AS need ON true
GROUP BY kind;

CREATE TEMPORARY TABLE demo_deck ON COMMIT DROP AS
SELECT kind, situation, open_tags, dense_rank() OVER (ORDER BY kind, open_tags)::integer AS deck
FROM demo_kind AS k
    JOIN (SELECT DISTINCT situation, tags FROM demo_person_tags UNION ALL SELECT 0, '{}') AS s
        ON k.is_tagged = (s.situation > 0)
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT t FROM unnest(k.tags) AS t WHERE t = ANY (s.tags)) AS open_tags) AS o;

CREATE TEMPORARY TABLE demo_card ON COMMIT DROP AS
SELECT deck, text, slots, (row_number() OVER (PARTITION BY deck ORDER BY place) - 1)::integer AS n
FROM (SELECT DISTINCT deck, kind, open_tags FROM demo_deck) AS d
    JOIN demo_phrase AS f USING (kind)
WHERE f.needs IS NULL OR f.needs <@ d.open_tags;

CREATE TEMPORARY TABLE demo_sized_deck ON COMMIT DROP AS
SELECT kind, situation, deck, size
FROM demo_deck JOIN (SELECT deck, count(*)::integer AS size FROM demo_card GROUP BY deck) AS c USING (deck);

ANALYZE demo_person, demo_career, demo_person_tags, demo_kind, demo_sized_deck, demo_card;

-- 5. Sentences. Opening, parts and skills always, languages mostly; the others fill up to the length drawn (3 to 7). The
-- opening comes first, since a person described there is not to be described again.
CREATE TEMPORARY TABLE demo_sentence ON COMMIT DROP AS
WITH wish AS MATERIALIZED (
    SELECT p.id, t.situation, p.years, cardinality(p.skills) AS skill_count, cardinality(p.languages) AS language_count,
        CASE WHEN roll < 15 THEN 3 WHEN roll < 40 THEN 4 WHEN roll < 68 THEN 5 WHEN roll < 88 THEN 6 ELSE 7 END AS length,
        pg_temp.draw(p.id, 141, 100) >= CASE WHEN roll < 15 THEN 45 ELSE 6 END AS tells_languages,
        p.types_2 IS NOT NULL AND pg_temp.draw(p.id, 148, 100) < 55 AS tells_both_types,
        100 + pg_temp.draw(p.id, 142, 100) AS skills_place,
        opening.text AS opening, opening.slots AS opening_slots
    FROM demo_person AS p
        JOIN demo_person_tags AS t USING (id)
        JOIN demo_sized_deck AS d ON d.kind = 'open' AND d.situation = t.situation
        JOIN demo_card AS opening ON opening.deck = d.deck AND opening.n = pg_temp.draw(p.id, 40, d.size)
        CROSS JOIN LATERAL (SELECT pg_temp.draw(p.id, 140, 100) AS roll) AS r
), wanted AS (
    -- No two places alike, lest the order be left to the server.
    SELECT w.id, w.situation, s.kind, s.place * 10 + nth AS place, 0 AS turn, 40 + nth * 2 AS salt
    FROM wish AS w
        CROSS JOIN LATERAL (
            SELECT nth, kind, place, must,
                row_number() OVER (ORDER BY must DESC, pg_temp.draw(w.id, 150 + nth, 1000), nth) AS rank
            FROM (VALUES
                (1, CASE WHEN tells_both_types THEN 'roles2' ELSE 'roles' END, true, 100 + pg_temp.draw(w.id, 143, 100)),
                (2, CASE WHEN skill_count > 1 THEN 'skills2' ELSE 'skills1' END, true, skills_place),
                (3, CASE skill_count WHEN 3 THEN 'skillsb1' WHEN 4 THEN 'skillsb2' END, true, skills_place + 25),
                (4, CASE WHEN NOT tells_languages THEN NULL WHEN language_count = 1 THEN 'lang_one' ELSE 'lang' END, true,
                    100 + pg_temp.draw(w.id, 144, 100)),
                (5, 'train', false, 70 + pg_temp.draw(w.id, 145, 100)),
                (6, CASE WHEN years > 0 THEN 'work' END, false, 110 + pg_temp.draw(w.id, 146, 100)),
                (7, CASE WHEN opening_slots && '{"{look}","{voice}","{temper}"}' THEN 'conduct' ELSE 'manner' END, false,
                    90 + pg_temp.draw(w.id, 147, 120)),
                (8, 'close', false, 300)
            ) AS k (nth, kind, must, place)
            WHERE kind IS NOT NULL
        ) AS s
    WHERE must OR rank < length
    UNION ALL
    -- Reviews are written along with the bio, as lines after it.
    SELECT id, situation, 'review:' || tones[turn + 1], 4000 + turn, turn, 58
    FROM demo_career JOIN demo_person_tags USING (id), generate_series(0, told_reviews - 1) AS turn
)
SELECT id, 0 AS place, opening AS text, opening_slots AS slots FROM wish
UNION ALL
SELECT w.id, w.place, c.text, c.slots
FROM wanted AS w
    JOIN demo_kind AS k USING (kind)
    JOIN demo_sized_deck AS d ON d.kind = w.kind AND d.situation = CASE WHEN k.is_tagged THEN w.situation ELSE 0 END
    -- Steps of at most a third of the deck: the first cards drawn from it differ, and neighbours do not always meet.
    JOIN demo_card AS c ON c.deck = d.deck
        AND c.n = (pg_temp.draw(w.id, w.salt, d.size)
            + w.turn * (1 + pg_temp.draw(w.id, w.salt + 1, greatest(1, (d.size - 1) / 3)))) % d.size;

CREATE TEMPORARY TABLE demo_template ON COMMIT DROP AS
SELECT id, string_agg(text, E'\n' ORDER BY place) AS template, (count(*) FILTER (WHERE place < 4000))::integer AS sentences
FROM demo_sentence
GROUP BY id;

-- 6. Words for the slots of these sentences.
CREATE TEMPORARY TABLE demo_words ON COMMIT DROP AS
WITH used AS (
    SELECT DISTINCT id, slot FROM demo_sentence, unnest(slots) AS slot
), wanted AS (
    SELECT u.id, u.slot, s.turn, s.salt, t.situation,
        s.kind || CASE s.kind
            WHEN 'role:' THEN CASE s.turn WHEN 1 THEN p.other_archetype ELSE p.archetype_1 END
            WHEN 'skill:' THEN p.skills[s.turn + 1]
            WHEN 'dialect:' THEN p.community
            ELSE '' END AS kind
    FROM used AS u
        JOIN demo_slot AS s USING (slot)
        JOIN demo_person AS p USING (id)
        JOIN demo_person_tags AS t USING (id)
)
SELECT w.id, array_agg(w.slot) AS slots, array_agg(c.text) AS words
FROM wanted AS w
    JOIN demo_kind AS k USING (kind)
    JOIN demo_sized_deck AS d ON d.kind = w.kind AND d.situation = CASE WHEN k.is_tagged THEN w.situation ELSE 0 END
    JOIN demo_card AS c ON c.deck = d.deck
        AND c.n = (pg_temp.draw(w.id, w.salt, d.size)
            + w.turn * (1 + pg_temp.draw(w.id, w.salt + 1, greatest(1, (d.size - 1) / 3)))) % d.size
GROUP BY w.id;

-- 7. Bios.

-- Fills the slots of a template, settles verbs and articles, and returns its lines with capital letters.
CREATE OR REPLACE FUNCTION pg_temp.write_lines(template text, slots text[], words text[], is_plural boolean)
    RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    filled text := template;
BEGIN
    FOR i IN 1 .. cardinality(slots) LOOP
        filled := replace(filled, slots[i], words[i]);
    END LOOP;
    filled := regexp_replace(filled, '\[([^|\]]*)\|([^\]]*)\]', CASE WHEN is_plural THEN '\2' ELSE '\1' END, 'g');
    -- "an" before a vowel that is heard: an actor, but a university and a one-act play.
    filled := regexp_replace(filled, '\m([Aa]) (?=[AEIOUaeiou])(?!uni|use|usu|eu|one|once)', '\1n ', 'g');
    RETURN ARRAY(
        SELECT upper(left(line, 1) COLLATE "C") || substr(line, 2)
        FROM unnest(string_to_array(filled, E'\n')) WITH ORDINALITY AS l (line, place)
        ORDER BY place
    );
END
$$;

INSERT INTO :demo_schema.talents (id, name, gender, age, city, languages, skills, years_experience, day_rate,
    availability, available_from, rating, review_count, reviews, bio)
SELECT p.id, p.full_name, CASE p.sex WHEN 'f' THEN 'female' WHEN 'm' THEN 'male' ELSE 'non-binary' END, p.told_age, p.city,
    p.languages, p.skills, p.years, c.day_rate, c.availability, c.available_from,
    CASE WHEN p.review_count > 0 THEN c.tenths / 10.0 END, p.review_count,
    lines[t.sentences + 1:], array_to_string(lines[:t.sentences], ' ')
FROM demo_person AS p
    JOIN demo_career AS c USING (id)
    JOIN demo_template AS t USING (id)
    JOIN demo_words AS w USING (id)
    CROSS JOIN LATERAL (
        -- "Hindi, English and Marathi"
        SELECT array_to_string(p.languages[2:cardinality(p.languages) - 1], ', ')
            || CASE WHEN cardinality(p.languages) > 2 THEN ' and ' ELSE '' END
            || CASE WHEN cardinality(p.languages) > 1 THEN p.languages[cardinality(p.languages)] ELSE '' END AS others,
            CASE cardinality(p.languages) WHEN 1 THEN '' WHEN 2 THEN ' and ' ELSE ', ' END AS joint
    ) AS spoken
    CROSS JOIN LATERAL pg_temp.write_lines(
        t.template,
        w.slots || '{"{types1}","{types2}","{Name}","{first}","{home}","{city}","{mother}","{others}","{languages}",
            "{years}","{credits}","{age}","{band}","{offspring}","{he}","{him}","{his}","{himself}"}',
        w.words || ARRAY[p.types_1, coalesce(p.types_2, ''), p.full_name, p.first_name, p.home, coalesce(p.city, ''),
            p.mother_tongue, others, p.mother_tongue || joint || others, p.years::text, (5 + p.years * 2)::text, p.age::text,
            CASE WHEN p.age < 20 THEN 'late teens'
                ELSE CASE WHEN p.age % 10 < 4 THEN 'early ' WHEN p.age % 10 < 7 THEN 'mid-' ELSE 'late ' END
                || ('{twenties,thirties,forties,fifties,sixties,seventies,eighties}'::text[])[p.age / 10 - 1] END]
        || CASE p.sex WHEN 'f' THEN '{daughter,she,her,her,herself}' WHEN 'm' THEN '{son,he,him,his,himself}'
            ELSE '{child,they,them,their,themselves}' END::text[],
        p.sex = 'x') AS lines
ORDER BY p.id;

SELECT setval(pg_get_serial_sequence(:'demo_schema' || '.talents', 'id'),
    greatest(:talents::bigint, 1), :talents::bigint > 0) \gset demo_
DROP FUNCTION pg_temp.write_lines(text, text[], text[], boolean);
DROP FUNCTION pg_temp.draw(bigint, integer, integer);
