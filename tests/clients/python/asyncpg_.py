"""asyncpg with pgvector's package: everything is binary."""

import asyncio
import hashlib
import io

import asyncpg
from given import COLUMNS, GRAPH_METHOD, NAMES, ROWS, show, value
from pgvector import HalfVector, SparseVector, Vector
from pgvector.asyncpg import register_vector

FIELDS = ["id", "category", *NAMES]
COLUMN_LIST = ", ".join(FIELDS)


def own(name: str, given):
    """As value, but bit strings are of asyncpg's own class."""
    return asyncpg.BitString(given) if name == "bits" else value(name, given)


def fields(row: dict) -> tuple:
    return (row["id"], row["category"], *(own(name, row[name]) for name in NAMES))


async def create_and_fill(connection) -> None:
    types = ", ".join(f"{column['name']} {column['type']}" for column in COLUMNS)
    await connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, category integer, {types})")
    places = ", ".join(f"${number}" for number in range(1, 1 + len(FIELDS)))
    insert = f"INSERT INTO items ({COLUMN_LIST}) VALUES ({places})"
    await connection.executemany(insert, [fields(row) for row in ROWS[:10]])
    await connection.copy_records_to_table("items", columns=FIELDS, records=[fields(row) for row in ROWS[10:]])
    await connection.execute(insert, 100, None, *[None] * len(NAMES))


async def read(connection) -> None:
    for row in await connection.fetch(f"SELECT {COLUMN_LIST} FROM items ORDER BY id"):
        show("row", *row)
    for format in ("binary", "text"):
        copied = io.BytesIO()
        await connection.copy_from_query(f"SELECT {COLUMN_LIST} FROM items ORDER BY id", output=copied, format=format)
        show(f"COPY as {format}", len(copied.getvalue()), hashlib.sha256(copied.getvalue()).hexdigest())


async def distances(connection) -> None:
    for column in COLUMNS:
        query = own(column["name"], column["query"])
        for metric in column["metrics"]:
            distance = f"{column['name']} {metric['operator']} $1"
            rows = await connection.fetch(f"SELECT id, {distance} AS distance FROM items ORDER BY distance, id", query)
            show(f"{column['name']} {metric['operator']}", *(field for row in rows for field in row))
            sql = f"SELECT id FROM items WHERE category = $2 AND {column['name']} IS NOT NULL ORDER BY {distance}, id LIMIT 5"
            show("of category 1", *(row["id"] for row in await connection.fetch(sql, query, 1)))


async def searches(connection) -> None:
    """Through an index of each operator class."""
    await connection.execute("SET enable_seqscan = off")
    for column in COLUMNS:
        query = own(column["name"], column["query"])
        for metric in column["metrics"] if column["in_graphs"] else []:
            await connection.execute(f"CREATE INDEX items_index ON items USING {GRAPH_METHOD} ({column['name']} {metric['opclass']})")
            ordered = f"SELECT id FROM items ORDER BY {column['name']} {metric['operator']} $1"
            plan = await connection.fetch(f"EXPLAIN (COSTS OFF) {ordered}", query)
            show(f"{metric['opclass']} plan", *(row[0].strip(" ->") for row in plan if "Scan" in row[0]))
            show(metric["opclass"], *(row["id"] for row in await connection.fetch(f"{ordered} LIMIT 5", query)))
            # In portions.
            async with connection.transaction():
                cursor = await connection.cursor(ordered, query)
                for _ in range(3):
                    show("by cursor", *(row["id"] for row in await cursor.fetch(3)))
            await connection.execute("DROP INDEX items_index")
    await connection.execute("RESET enable_seqscan")


async def aggregates_and_casts(connection) -> None:
    for row in await connection.fetch("SELECT category, avg(dense), sum(dense), avg(half), sum(half) FROM items GROUP BY category ORDER BY category"):
        show("aggregates", *row)
    dense, half, sparse = Vector([1, -2, 0.5]), HalfVector([1, -2, 0.5]), SparseVector({0: 1.0, 2: -2.5}, 4)
    show("vector to", *await connection.fetchrow("SELECT $1::vector::halfvec, $1::vector::sparsevec, $1::vector::real[]", dense))
    show("halfvec to", *await connection.fetchrow("SELECT $1::halfvec::vector, $1::halfvec::sparsevec, $1::halfvec::real[]", half))
    show("sparsevec to", *await connection.fetchrow("SELECT $1::sparsevec::vector, $1::sparsevec::halfvec", sparse))
    show("arrays to", *await connection.fetchrow("SELECT $1::real[]::vector, $2::int[]::halfvec, $3::float8[]::sparsevec", [1.5, 2], [1, 2], [0, 0.25]))
    show("array", *await connection.fetchval("SELECT $1::vector[]", [dense, Vector([4, 5])]))
    show("lists", await connection.fetchval("SELECT $1::vector", [1, 2, 3]), await connection.fetchval("SELECT $1::halfvec", [1, 2, 3]))
    show("functions", *await connection.fetchrow("SELECT vector_dims($1::vector), vector_norm($1), binary_quantize($1), $1 + $1, $1 || $1", dense))


async def errors(connection) -> None:
    for sql, parameter in [
        ("INSERT INTO items (id, dense) VALUES (200, $1)", Vector([1, 2])),
        ("INSERT INTO items (id, half) VALUES (200, $1)", HalfVector([1, 2])),
        ("INSERT INTO items (id, sparse) VALUES (200, $1)", SparseVector({0: 1.0}, 2)),
        ("INSERT INTO items (id, bits) VALUES (200, $1)", asyncpg.BitString("101")),
        ("SELECT dense <-> $1 FROM items WHERE id = 1", Vector([1, 2])),
        ("SELECT half <+> $1 FROM items WHERE id = 1", HalfVector([1, 2])),
        ("SELECT sparse <=> $1 FROM items WHERE id = 1", SparseVector({0: 1.0}, 2)),
        ("SELECT bits <%> $1 FROM items WHERE id = 1", asyncpg.BitString("101")),
        ("SELECT $1::vector", Vector([])),
        ("SELECT $1::vector", Vector([float("nan")])),
        ("SELECT $1::halfvec", HalfVector([float("-inf")])),
        ("SELECT $1::sparsevec", SparseVector({0: float("inf")}, 2)),
        ("SELECT $1::sparsevec", SparseVector({}, 0)),
        ("SELECT $1::sparsevec", SparseVector({3: 1.0}, 2)),
        ("SELECT $1::vector", Vector([0.0] * 16001)),
        ("SELECT $1::text::vector", "[1,2"),
    ]:
        try:
            await connection.fetch(sql, parameter)
            show("no error", sql)
        except asyncpg.PostgresError as error:
            show("error", error.sqlstate, error.message, error.detail)


async def main() -> None:
    connection = await asyncpg.connect()
    await register_vector(connection)
    await create_and_fill(connection)
    await read(connection)
    await distances(connection)
    await searches(connection)
    await aggregates_and_casts(connection)
    await errors(connection)
    await connection.close()


asyncio.run(main())
