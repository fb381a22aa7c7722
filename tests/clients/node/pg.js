// node-postgres with pgvector's package: everything is text.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { SparseVector } from 'pgvector';
import pgvector from 'pgvector/pg';

const given = JSON.parse(readFileSync(process.env.CLIENTS_DATASET, 'utf8'));
const names = given.columns.map((column) => column.name);
const columnList = ['id', 'category', ...names].join(', ');

// What is given for a column, as a parameter of a query.
function parameter(name, value) {
  if (name === 'bits') return value;
  if (name === 'sparse') {
    const elements = new Map(Object.entries(value).map(([index, element]) => [Number(index), element]));
    return pgvector.toSql(new SparseVector(elements, given.sparse_dimensions));
  }
  return pgvector.toSql(value);
}

function plain(thing) {
  if (thing instanceof SparseVector) return `SparseVector ${pgvector.toSql(thing)}`;
  return `${thing?.constructor?.name} ${JSON.stringify(thing)}`;
}

function show(label, ...things) {
  console.log(`${label}:`, ...things.map(plain));
}

async function createAndFill(client) {
  const types = given.columns.map((column) => `${column.name} ${column.type}`).join(', ');
  await client.query(`CREATE TABLE items (id bigint PRIMARY KEY, category integer, ${types})`);
  const insert = `INSERT INTO items (${columnList}) VALUES ($1, $2, $3, $4, $5, $6)`;
  for (const row of given.rows) {
    const values = [row.id, row.category, ...names.map((name) => parameter(name, row[name]))];
    // Odd rows by a prepared statement.
    await client.query(row.id % 2 ? { name: 'insert', text: insert, values } : { text: insert, values });
  }
  await client.query(insert, [100, null, ...names.map(() => null)]);
}

async function read(client) {
  const { rows, fields } = await client.query(`SELECT ${columnList} FROM items ORDER BY id`);
  show('fields', ...fields.map((field) => [field.name, field.format, field.dataTypeModifier]));
  for (const row of rows) show('row', ...Object.values(row));
  const text = await client.query({ text: `SELECT ${names.map((name) => `${name}::text`).join(', ')} FROM items ORDER BY id`, rowMode: 'array' });
  show('as text', createHash('sha256').update(JSON.stringify(text.rows)).digest('hex'));
}

async function distances(client) {
  for (const column of given.columns) {
    const query = parameter(column.name, column.query);
    for (const metric of column.metrics) {
      const distance = `${column.name} ${metric.operator} $1`;
      const all = await client.query(`SELECT id, ${distance} AS distance FROM items ORDER BY distance, id`, [query]);
      show(`${column.name} ${metric.operator}`, ...all.rows.flatMap((row) => [row.id, row.distance]));
      const near = await client.query(`SELECT id FROM items WHERE category = $2 AND ${column.name} IS NOT NULL ORDER BY ${distance}, id LIMIT 5`, [query, 1]);
      show('of category 1', ...near.rows.map((row) => row.id));
    }
  }
}

async function searches(client) {
  await client.query('SET enable_seqscan = off');
  for (const column of given.columns.filter((column) => column.in_graphs)) {
    for (const metric of column.metrics) {
      await client.query(`CREATE INDEX items_index ON items USING ${given.graph_method} (${column.name} ${metric.opclass})`);
      const search = `SELECT id FROM items ORDER BY ${column.name} ${metric.operator} $1 LIMIT 5`;
      const query = parameter(column.name, column.query);
      const plan = await client.query(`EXPLAIN (COSTS OFF) ${search}`, [query]);
      show(`${metric.opclass} plan`, ...plan.rows.map((row) => row['QUERY PLAN'].replace(/^[ >-]+/, '')).filter((line) => line.includes('Scan')));
      const { rows } = await client.query(search, [query]);
      show(metric.opclass, ...rows.map((row) => row.id));
      await client.query('DROP INDEX items_index');
    }
  }
  await client.query('RESET enable_seqscan');
}

async function aggregatesAndCasts(client) {
  const sums = await client.query('SELECT category, avg(dense), sum(dense), avg(half) AS avg_half, sum(half) AS sum_half FROM items GROUP BY category ORDER BY category');
  for (const row of sums.rows) show('aggregates', ...Object.values(row));
  for (const [sql, value] of [
    ['$1::vector::halfvec', [1, -2, 0.5]],
    ['$1::vector::sparsevec', [1, 0, 0.5]],
    ['$1::vector::real[]', [1, -2, 0.5]],
    ['$1::halfvec::vector', [1, -2, 0.1]],
    ['$1::halfvec::sparsevec', [0, -2, 0.1]],
    ['$1::sparsevec::vector', new SparseVector([0, 1.5, 0])],
    ['$1::sparsevec::halfvec', new SparseVector([0, 1.5, 0])],
    ['vector_dims($1::vector)', [1, 2]],
    ['vector_norm($1::vector)', [3, 4]],
    ['l2_normalize($1::vector)', [3, 4]],
    ['binary_quantize($1::halfvec)', [3, -4, 0]],
    ['subvector($1::vector, 2, 2)', [1, 2, 3, 4]],
  ]) {
    const { rows } = await client.query(`SELECT ${sql} AS result`, [pgvector.toSql(value)]);
    show(sql, rows[0].result);
  }
}

async function errors(client) {
  for (const [sql, value] of [
    ['INSERT INTO items (id, dense) VALUES (200, $1)', '[1,2]'],
    ['INSERT INTO items (id, half) VALUES (200, $1)', '[1,2]'],
    ['INSERT INTO items (id, sparse) VALUES (200, $1)', '{1:1}/2'],
    ['INSERT INTO items (id, bits) VALUES (200, $1)', '101'],
    ['SELECT dense <=> $1 FROM items WHERE id = 1', '[1,2]'],
    ['SELECT half <-> $1 FROM items WHERE id = 1', '[1,2]'],
    ['SELECT sparse <+> $1 FROM items WHERE id = 1', '{1:1}/2'],
    ['SELECT bits <%> $1 FROM items WHERE id = 1', '101'],
    ['SELECT $1::vector', '[]'],
    ['SELECT $1::vector', '[1,NaN]'],
    ['SELECT $1::vector', '[1,2] 3'],
    ['SELECT $1::vector', '[1e39]'],
    ['SELECT $1::halfvec', '[65520]'],
    ['SELECT $1::halfvec', '1,2'],
    ['SELECT $1::sparsevec', '{1:1,1:2}/3'],
    ['SELECT $1::sparsevec', '{2:1,1:2}'],
    ['SELECT $1::vector(0)', '[1]'],
  ]) {
    try {
      await client.query(sql, [value]);
      show('no error', sql);
    } catch (error) {
      show('error', error.code, error.message, error.detail);
    }
  }
}

const client = new pg.Client();
await client.connect();
await pgvector.registerTypes(client);
for (const part of [createAndFill, read, distances, searches, aggregatesAndCasts, errors]) await part(client);
await client.end();
