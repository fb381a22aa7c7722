-- What make demo shows: three matches and a chat of three turns, over the table of talents.sql after
-- castmatch.attach('talents', …). Run it again by hand with psql -f.
\pset null '-'
\pset footer off
\pset linestyle unicode
\pset border 1

\echo
\echo '1. A description in plain words, with one hard condition: the city.'
\echo
SELECT t.name, t.gender, t.age, t.city, round(m.score::numeric, 3) AS score, round(m.similarity::numeric, 3) AS similarity
FROM castmatch.match('talents', 'stern police inspector, speaks Marathi, can ride a horse', k => 5,
                     filter => '{"city": "Mumbai"}') AS m
JOIN talents AS t ON t.id = m.key::bigint
ORDER BY m.score DESC, m.key;

\echo
\echo '2. A range and a list as conditions; years of experience as a preference, which moves the score only.'
\echo
SELECT t.name, t.gender, t.age, t.city, t.years_experience AS years, round(m.score::numeric, 3) AS score,
       m.semantic_rank, m.text_rank
FROM castmatch.match('talents', 'warm, funny mother who can dance', k => 5,
                     filter => '{"gender": "female", "age": {"gte": 38, "lt": 55}, "city": {"in": ["Mumbai", "Pune"]}}',
                     prefer => '[{"column": "years_experience", "weight": 0.2, "at_least": 10}]') AS m
JOIN talents AS t ON t.id = m.key::bigint
ORDER BY m.score DESC, m.key;

\echo
\echo '3. Three roles of the demo, each with its own conditions, and the two best talents for each of them.'
\echo
SELECT r.title AS role, t.name, t.gender, t.age, t.city, round(m.score::numeric, 3) AS score,
       m.reasons -> 'text' ->> 'matched_terms' AS words
FROM roles AS r
CROSS JOIN LATERAL castmatch.match('talents', r.description, k => 2, filter => r.filter) AS m
JOIN talents AS t ON t.id = m.key::bigint
WHERE r.id <= 3
ORDER BY r.id, m.score DESC, m.key;

\echo
\echo '4. A chat of three turns. The second and the third only make sense together with what was said before.'
\pset tuples_only on
\pset format unaligned

\set message 'I need a dancer from Mumbai in her thirties who speaks Hindi'
\echo
\echo 'You:      ' :message
SELECT castmatch.chat(:'message', target => 'talents', k => 3,
                      filter => '{"gender": "female", "city": "Mumbai", "age": {"gte": 25}}') AS answer
\gset
SELECT 'castmatch: ' || replace((:'answer'::jsonb)->>'reply', E'\n', E'\n           ');
SELECT (:'answer'::jsonb)->>'conversation_id' AS conversation
\gset

\set message '…and someone younger?'
\echo
\echo 'You:      ' :message
SELECT castmatch.chat(:'message', conversation_id => :'conversation', k => 3) AS answer
\gset
SELECT 'castmatch: ' || replace((:'answer'::jsonb)->>'reply', E'\n', E'\n           ');

\set message 'Which of them has the most experience?'
\echo
\echo 'You:      ' :message
SELECT castmatch.chat(:'message', conversation_id => :'conversation', k => 3) AS answer
\gset
SELECT 'castmatch: ' || replace((:'answer'::jsonb)->>'reply', E'\n', E'\n           ');

\echo
SELECT format('           (%s messages kept, in castmatch.history(%L))', count(*), :'conversation')
FROM castmatch.history(:'conversation');
