-- Statements as pgvector's documentation and client libraries write them: they must run unchanged.

-- Getting started
CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(3));
INSERT INTO items (embedding) VALUES ('[1,2,3]'), ('[4,5,6]');
SELECT * FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;

-- Storing
ALTER TABLE items ADD COLUMN second vector(3);
ALTER TABLE items DROP COLUMN second;
COPY items (embedding) FROM STDIN;
[7,8,9]
\.
INSERT INTO items (id, embedding) VALUES (1, '[1,2,3]'), (2, '[4,5,6]')
    ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding;
UPDATE items SET embedding = '[1,2,3]' WHERE id = 1;
DELETE FROM items WHERE id = 3;

-- Querying
SELECT * FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
SELECT * FROM items WHERE id != 1 ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 1) LIMIT 5;
SELECT * FROM items WHERE embedding <-> '[3,1,2]' < 5;
SELECT embedding <-> '[4,5,7]' AS distance FROM items ORDER BY id;
SELECT (embedding <#> '[3,1,2]') * -1 AS inner_product FROM items ORDER BY id;
SELECT 1 - (embedding <=> '[1,2,3]') AS cosine_similarity FROM items WHERE id = 1;
SELECT AVG(embedding) FROM items;
ALTER TABLE items ADD COLUMN category_id integer;
UPDATE items SET category_id = id;
SELECT category_id, AVG(embedding) FROM items GROUP BY category_id ORDER BY category_id;
BEGIN;
SET LOCAL enable_indexscan = off;
SELECT id FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
COMMIT;
SELECT id FROM items ORDER BY embedding <=> '[3,1,2]', id LIMIT 5;
SELECT id FROM items ORDER BY embedding <+> '[3,1,2]' LIMIT 5;

-- Half precision, also over a column of full precision
CREATE TABLE half_items (id bigserial PRIMARY KEY, embedding halfvec(3));
INSERT INTO half_items (embedding) SELECT embedding FROM items ORDER BY id;
SELECT id FROM items ORDER BY embedding::halfvec(3) <-> '[1,2,3]' LIMIT 5;
SELECT id FROM half_items ORDER BY embedding <-> '[1,2,3]' LIMIT 5;

-- Binary quantisation, as far as it needs no distance of bit
SELECT id, binary_quantize(embedding)::bit(3) FROM items ORDER BY id;

-- Subvectors
SELECT id FROM items ORDER BY subvector(embedding, 1, 2)::vector(2) <-> subvector('[1,2,3]'::vector, 1, 2) LIMIT 5;

-- More precision, checked by the column
CREATE TABLE precise (embedding double precision[] CHECK (vector_dims(embedding::vector) = 3));
INSERT INTO precise VALUES ('{1,2,3}');
INSERT INTO precise VALUES ('{1,2}');
SELECT * FROM precise ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;

-- Several widths in one column
CREATE TABLE embeddings (model_id bigint, item_id bigint, embedding vector, PRIMARY KEY (model_id, item_id));
INSERT INTO embeddings VALUES (123, 1, '[1,2,3]'), (123, 2, '[4,5,6]'), (7, 1, '[1,2]');
SELECT item_id FROM embeddings WHERE model_id = 123 ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;

-- Partitions
CREATE TABLE parted (embedding vector(3), category_id integer) PARTITION BY LIST (category_id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES ('[1,1,1]', 1), ('[2,2,2]', 2);
SELECT category_id FROM parted ORDER BY embedding <-> '[2,2,1]' LIMIT 5;

-- Constraints, defaults, generated columns, storage
CREATE TABLE checked (
    id integer PRIMARY KEY,
    embedding vector(2) NOT NULL DEFAULT '[0,0]' CHECK (vector_norm(embedding) < 10),
    unit vector(2) GENERATED ALWAYS AS (l2_normalize(embedding)) STORED
);
INSERT INTO checked VALUES (1, DEFAULT), (2, '[0,5]');
INSERT INTO checked VALUES (3, '[10,0]');
SELECT * FROM checked ORDER BY id;
ALTER TABLE checked ALTER COLUMN embedding SET STORAGE PLAIN;

-- What client libraries send: literals cast by name, parameters of type vector, text or float arrays, arrays of vectors
PREPARE near (vector) AS SELECT id FROM items ORDER BY embedding <-> $1 LIMIT 1;
EXECUTE near('[4,5,6]');
PREPARE near_text (text) AS SELECT id FROM items ORDER BY embedding <-> $1::vector LIMIT 1;
EXECUTE near_text('[4,5,6]');
PREPARE near_array (real[]) AS SELECT id FROM items ORDER BY embedding <-> $1::vector LIMIT 1;
EXECUTE near_array('{4,5,6}');
PREPARE near_doubles (double precision[]) AS SELECT id FROM items ORDER BY embedding <-> $1::vector(3) LIMIT 1;
EXECUTE near_doubles('{4,5,6}');
DEALLOCATE ALL;
SELECT CAST('[1,2,3]' AS vector(3)), vector '[1,2]', '{"[1,2]","[3,4]"}'::vector[], ARRAY['[1,2]'::vector, '[3,4]'];
SELECT embedding::text, embedding::real[], array_to_json(embedding::real[]), vector_dims(embedding), vector_norm(embedding) > 0 AS norm
FROM items ORDER BY id LIMIT 1;
SELECT to_jsonb(items) FROM items ORDER BY id LIMIT 1;
SELECT typname, typarray > 0 AS has_array FROM pg_type WHERE oid = to_regtype('vector');
SELECT oid = to_regtype('halfvec') AS found FROM pg_type WHERE typname = 'halfvec';
SELECT jsonb_populate_record(NULL::items, '{"id": 5, "embedding": "[1,2,3]", "category_id": 1}');
-- array_agg, unnest, DISTINCT, set operations
SELECT array_agg(embedding ORDER BY id) FROM items;
SELECT DISTINCT v FROM unnest(ARRAY['[2]', '[1]', '[2]']::vector[]) v ORDER BY v;
SELECT '[1]'::vector AS v UNION SELECT '[1]' UNION SELECT '[2]' ORDER BY v;
SELECT v FROM unnest(ARRAY['[2]', '[1]']::vector[]) v WHERE v IN ('[1]', '[3]');
SELECT '[1,2]'::vector IS DISTINCT FROM '[1,2]', '[1,2]'::vector <> '[1,3]';

DROP TABLE items, half_items, precise, embeddings, parted, checked;
