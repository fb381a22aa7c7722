"""psycopg 3 with pgvector's package; the argument says whether parameters, results and COPY are text or binary."""

import sys

import numpy
import psycopg
from given import COLUMNS, GRAPH_METHOD, LIST_METHOD, NAMES, ROWS, show, value
from pgvector import HalfVector, SparseVector, Vector
from pgvector.psycopg import register_vector

MODE = sys.argv[1]
BINARY = MODE == "binary"
# A parameter in the chosen format.
P = "%b" if BINARY else "%t"

COLUMN_LIST = ", ".join(["id", "category", *NAMES])


def create(cursor) -> None:
    types = ", ".join(f"{column['name']} {column['type']}" for column in COLUMNS)
    cursor.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, category integer, {types})")


def fields(row: dict) -> list:
    return [row["id"], row["category"], *(value(name, row[name]) for name in NAMES)]


def fill(cursor) -> None:
    """A few rows by INSERT, the others by COPY, one of NULLs."""
    places = ", ".join([P] * (2 + len(NAMES)))
    cursor.executemany(f"INSERT INTO items ({COLUMN_LIST}) VALUES ({places})", [fields(row) for row in ROWS[:10]])
    with cursor.copy(f"COPY items ({COLUMN_LIST}) FROM STDIN WITH (FORMAT {MODE})") as copy:
        copy.set_types(["int8", "int4", "vector", "halfvec", "sparsevec", "bit"])
        for row in ROWS[10:]:
            copy.write_row(fields(row))
    cursor.execute(f"INSERT INTO items ({COLUMN_LIST}) VALUES ({places})", [100, None] + [None] * len(NAMES))


def read(cursor) -> None:
    for row in cursor.execute(f"SELECT {COLUMN_LIST} FROM items ORDER BY id"):
        show("row", *row)
    with cursor.copy(f"COPY (SELECT {COLUMN_LIST} FROM items ORDER BY id) TO STDOUT WITH (FORMAT {MODE})") as copy:
        copy.set_types(["int8", "int4", "vector", "halfvec", "sparsevec", "bit"])
        for row in copy.rows():
            show("copied", *row)


def distances(cursor) -> None:
    for column in COLUMNS:
        query = value(column["name"], column["query"])
        for metric in column["metrics"]:
            # The sign % of an operator stands doubled beside parameters.
            operator = metric["operator"].replace("%", "%%")
            label = f"{column['name']} {metric['operator']}"
            sql = f"SELECT id, {column['name']} {operator} {P} FROM items ORDER BY 2, 1"
            show(label, *(field for row in cursor.execute(sql, [query]) for field in row))
            sql = f"SELECT id FROM items WHERE category = {P} AND {column['name']} IS NOT NULL ORDER BY {column['name']} {operator} {P}, id LIMIT 5"
            show(f"{label} of category 1", *(row[0] for row in cursor.execute(sql, [1, query])))


def searches(cursor) -> None:
    """Through an index of each operator class."""
    cursor.execute("SET enable_seqscan = off")
    for column in COLUMNS:
        for metric in column["metrics"]:
            if column["in_graphs"]:
                search(cursor, column, metric, GRAPH_METHOD, "m = 8, ef_construction = 40")
            if metric["in_lists"]:
                search(cursor, column, metric, LIST_METHOD, "lists = 1")
    cursor.execute("RESET enable_seqscan")


def search(cursor, column: dict, metric: dict, method: str, options: str) -> None:
    query, operator = value(column["name"], column["query"]), metric["operator"].replace("%", "%%")
    cursor.execute(f"CREATE INDEX items_index ON items USING {method} ({column['name']} {metric['opclass']}) WITH ({options})")
    sql = f"SELECT id FROM items ORDER BY {column['name']} {operator} {P} LIMIT 5"
    show("plan", *(row[0].strip(" ->") for row in cursor.execute(f"EXPLAIN (COSTS OFF) {sql}", [query]) if "Scan" in row[0]))
    show(f"{metric['opclass']} with {options}", *(row[0] for row in cursor.execute(sql, [query])))
    cursor.execute("DROP INDEX items_index")


def aggregates(cursor) -> None:
    cursor.execute("SELECT category, avg(dense), sum(dense), avg(half), sum(half) FROM items GROUP BY category ORDER BY category")
    for row in cursor:
        show("aggregates", *row)
    show("average of none", *cursor.execute("SELECT avg(dense), sum(half) FROM items WHERE id < 0").fetchone())


def casts(cursor) -> None:
    dense, half = Vector([1, -2, 0.5]), HalfVector([1, -2, 0.5])
    sparse = SparseVector({0: 1.0, 2: -2.5}, 4)
    show("vector to", *cursor.execute(f"SELECT {P}::vector::halfvec, {P}::vector::sparsevec, {P}::vector::real[]", [dense] * 3).fetchone())
    show("halfvec to", *cursor.execute(f"SELECT {P}::halfvec::vector, {P}::halfvec::sparsevec, {P}::halfvec::real[]", [half] * 3).fetchone())
    show("sparsevec to", *cursor.execute(f"SELECT {P}::sparsevec::vector, {P}::sparsevec::halfvec", [sparse] * 2).fetchone())
    show("arrays to", *cursor.execute(f"SELECT {P}::real[]::vector, {P}::integer[]::halfvec, {P}::float8[]::sparsevec", [[1.5, 2.0], [1, 2], [0.0, 0.25]]).fetchone())
    show("from numpy", *cursor.execute(f"SELECT {P}", [numpy.array([1, -2, 0.5], dtype=numpy.float32)]).fetchone())
    show("array of vectors", *cursor.execute(f"SELECT {P}::vector[]", [[dense, Vector([4, 5])]]).fetchone()[0])
    show("functions", *cursor.execute(
        f"SELECT vector_dims({P}), vector_norm({P}), l2_normalize({P}), subvector({P}, 2, 2), binary_quantize({P}), {P} + {P}, {P} || {P}", [dense] * 9
    ).fetchone())


def errors(connection) -> None:
    dense, half, sparse = Vector([1, 2]), HalfVector([1, 2]), SparseVector({0: 1.0}, 2)
    for sql, parameters in [
        (f"INSERT INTO items (id, dense) VALUES (200, {P})", [dense]),
        (f"INSERT INTO items (id, half) VALUES (200, {P})", [half]),
        (f"INSERT INTO items (id, sparse) VALUES (200, {P})", [sparse]),
        (f"INSERT INTO items (id, bits) VALUES (200, {P})", [value("bits", "101")]),
        (f"SELECT dense <-> {P} FROM items WHERE id = 1", [dense]),
        (f"SELECT half <=> {P} FROM items WHERE id = 1", [half]),
        (f"SELECT sparse <#> {P} FROM items WHERE id = 1", [sparse]),
        (f"SELECT bits <~> {P} FROM items WHERE id = 1", [value("bits", "101")]),
        (f"SELECT {P}::vector", [Vector([])]),
        (f"SELECT {P}::vector", [Vector([1.0, float("nan")])]),
        (f"SELECT {P}::halfvec", [HalfVector([float("inf")])]),
        (f"SELECT {P}::text::vector", ["[1,2"]),
        (f"SELECT {P}::text::halfvec", ["[1,,2]"]),
        (f"SELECT {P}::text::sparsevec", ["{0:1}/3"]),
        (f"SELECT {P}::text::sparsevec", ["{1:1}/0"]),
        (f"SELECT {P}::text::vector(3)", ["[1,2]"]),
        (f"SELECT {P}::vector::halfvec", [Vector([1e6])]),
    ]:
        try:
            connection.execute(sql, parameters)
            show("no error", sql)
        except psycopg.Error as error:
            show("error", error.sqlstate, error.diag.message_primary, error.diag.message_detail)


def main() -> None:
    with psycopg.connect(autocommit=True) as connection:
        register_vector(connection)
        cursor = connection.cursor(binary=BINARY)
        create(cursor)
        fill(cursor)
        read(cursor)
        distances(cursor)
        searches(cursor)
        aggregates(cursor)
        casts(cursor)
        errors(connection)


main()
