"""SQLAlchemy with pgvector's package, through an asynchronous engine; the argument names the driver: psycopg or asyncpg."""

import asyncio
import sys

from given import COLUMNS, GRAPH_METHOD, NAMES, ROWS, show, value
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR, avg, sum
from sqlalchemy import BigInteger, Index, Integer, MetaData, Table, cast, func, insert, inspect, select, text
from sqlalchemy.dialects.postgresql import ARRAY, REAL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.sql.expression import ClauseElement, Executable

DRIVER = sys.argv[1]
CLASSES = {"vector": VECTOR, "halfvec": HALFVEC, "sparsevec": SPARSEVEC, "bit": BIT}
DISTANCES = {
    "<->": "l2_distance",
    "<#>": "max_inner_product",
    "<=>": "cosine_distance",
    "<+>": "l1_distance",
    "<~>": "hamming_distance",
    "<%>": "jaccard_distance",
}


class Explain(Executable, ClauseElement):
    """EXPLAIN of a statement: the recipe of SQLAlchemy's documentation."""

    inherit_cache = False

    def __init__(self, statement) -> None:
        self.statement = statement


@compiles(Explain)
def compile_explain(element, compiler, **options) -> str:
    return "EXPLAIN (COSTS OFF) " + compiler.process(element.statement, **options)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id = mapped_column(BigInteger, primary_key=True)
    category = mapped_column(Integer)
    dense = mapped_column(VECTOR(8))
    half = mapped_column(HALFVEC(8))
    sparse = mapped_column(SPARSEVEC(1000))
    bits = mapped_column(BIT(48))


def own(name: str, given):
    """As SQLAlchemy's types take it: lists for dense vectors, text for bits."""
    return value(name, given) if name == "sparse" else given


def fields(row: dict) -> dict:
    return {"id": row["id"], "category": row["category"], **{name: own(name, row[name]) for name in NAMES}}


def distance(column: dict, metric: dict, query=None):
    return getattr(getattr(Item, column["name"]), DISTANCES[metric["operator"]])(own(column["name"], query or column["query"]))


def fill(session: Session) -> None:
    Base.metadata.create_all(session.connection())
    session.add_all(Item(**fields(row)) for row in ROWS[:10])
    session.execute(insert(Item), [fields(row) for row in ROWS[10:]])
    session.add(Item(id=100))
    session.commit()


def read(session: Session) -> None:
    for item in session.scalars(select(Item).order_by(Item.id)):
        show("row", item.id, item.category, item.dense, item.half, item.sparse, item.bits)
    for column in inspect(session.connection()).get_columns("items"):
        show("reflected", column["name"], repr(column["type"]))
    reflected = Table("items", MetaData(), autoload_with=session.connection())
    show("by reflection", *session.execute(select(reflected).order_by(reflected.c.id).limit(1)).one())


def distances(session: Session) -> None:
    for column in COLUMNS:
        for metric in column["metrics"]:
            far = distance(column, metric)
            rows = session.execute(select(Item.id, far).order_by(far, Item.id))
            show(f"{column['name']} {metric['operator']}", *(field for row in rows for field in row))
            near = select(Item.id).where(Item.category == 1, far < 10**6).order_by(far, Item.id).limit(5)
            show("of category 1", *session.scalars(near))


def searches(session: Session) -> None:
    """Through an index of each operator class."""
    session.execute(text("SET enable_seqscan = off"))
    for column in COLUMNS:
        for metric in column["metrics"] if column["in_graphs"] else []:
            index = Index(
                "items_index",
                getattr(Item, column["name"]),
                postgresql_using=GRAPH_METHOD,
                postgresql_with={"m": 8, "ef_construction": 40},
                postgresql_ops={column["name"]: metric["opclass"]},
            )
            index.create(session.connection())
            near = select(Item.id).order_by(distance(column, metric)).limit(5)
            plan = session.execute(Explain(near)).scalars()
            show(f"{metric['opclass']} plan", *(line.strip(" ->") for line in plan if "Scan" in line))
            show(metric["opclass"], *session.scalars(near))
            [reflected] = inspect(session.connection()).get_indexes("items")
            show("reflected", reflected["name"], reflected["column_names"], reflected["dialect_options"]["postgresql_with"])
            index.drop(session.connection())
            Item.__table__.indexes.discard(index)
    # Half the size: an index on an expression.
    half = cast(Item.dense, HALFVEC(8))
    index = Index("items_index", half.label("half_of"), postgresql_using=GRAPH_METHOD, postgresql_ops={"half_of": "halfvec_l2_ops"})
    index.create(session.connection())
    near = select(Item.id).order_by(half.l2_distance(COLUMNS[0]["query"])).limit(5)
    show("expression plan", *(line.strip(" ->") for line in session.execute(Explain(near)).scalars() if "Scan" in line))
    show("expression", *session.scalars(near))
    session.commit()


def aggregates_and_casts(session: Session) -> None:
    sums = select(Item.category, avg(Item.dense), sum(Item.dense), avg(Item.half), sum(Item.half))
    for row in session.execute(sums.group_by(Item.category).order_by(Item.category)):
        show("aggregates", *row)
    show("average of none", *session.execute(select(avg(Item.dense), sum(Item.half)).where(Item.id < 0)).one())
    for casted in (cast(Item.dense, HALFVEC(8)), cast(Item.half, VECTOR(8)), cast(Item.sparse, VECTOR(1000)), cast(Item.dense, ARRAY(REAL))):
        show("cast", session.scalar(select(casted).where(Item.id == 1)))
    show("functions", *session.execute(select(func.vector_dims(Item.dense), func.vector_norm(Item.dense), func.l2_norm(Item.half)).where(Item.id == 1)).one())
    # Two columns of a row, and a search by the bits of a vector.
    show("between columns", *session.scalars(select(Item.dense.l2_distance(cast(Item.half, VECTOR))).where(Item.id < 4).order_by(Item.id)))
    quantized = cast(func.binary_quantize(Item.dense), BIT(8)).hamming_distance(func.binary_quantize(cast(COLUMNS[0]["query"], VECTOR(8))))
    show("by bits", *session.scalars(select(Item.id).order_by(quantized, Item.id).limit(5)))


def errors(session: Session) -> None:
    for statement in [
        insert(Item).values(id=200, dense=[1, 2]),
        insert(Item).values(id=200, half=[1, 2]),
        insert(Item).values(id=200, sparse=[1.0, 2.0]),
        insert(Item).values(id=200, bits="101"),
        select(Item.dense.l2_distance([1, 2])).where(Item.id == 1),
        select(Item.half.cosine_distance([1, 2])).where(Item.id == 1),
        select(Item.sparse.l1_distance([1.0, 2.0])).where(Item.id == 1),
        select(Item.bits.hamming_distance("101")).where(Item.id == 1),
        select(cast([float("nan"), 1], VECTOR)),
        select(cast([1, 2], VECTOR(3))),
    ]:
        try:
            session.execute(statement)
            show("no error")
        except DBAPIError as error:
            show("error", error.orig.sqlstate, str(error.orig).partition("\n")[0])
        session.rollback()


async def main() -> None:
    engine = create_async_engine(f"postgresql+{DRIVER}://")
    async with AsyncSession(engine, expire_on_commit=False) as session:
        for part in (fill, read, distances, searches, aggregates_and_casts, errors):
            await session.run_sync(part)
    await engine.dispose()


asyncio.run(main())
