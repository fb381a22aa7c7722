"""LlamaIndex's PGVectorStore, without its set-up, which would run CREATE EXTENSION vector: the tables are made by SQL."""

import asyncio
import os

import psycopg
from given import COLUMNS, GRAPH_METHOD, ROWS, show
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.vector_stores.postgres import PGVectorStore
from sqlalchemy import URL

TABLE = """
CREATE TABLE data_{name} (id bigserial PRIMARY KEY, text varchar NOT NULL, metadata_ {json}, node_id varchar, embedding {type},
    text_search_tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED);
CREATE INDEX {name}_idx ON data_{name} USING gin (text_search_tsv);
CREATE INDEX {name}_idx_1 ON data_{name} ((metadata_ ->> 'ref_doc_id'));
CREATE INDEX {name}_idx_2 ON data_{name} USING {method} (embedding {opclass});
"""
WORDS = ("a dancer from Pune", "a singer from Mumbai", "an actor and dancer")


def nodes(name: str) -> list:
    return [
        TextNode(
            id_=f"{name}-{row['id']}",
            text=f"{WORDS[row['id'] % 3]}, number {row['id']}",
            metadata={"category": row["category"], "kind": "even" if row["id"] % 2 == 0 else "odd"},
            embedding=[float(element) for element in row["dense"]],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{row['id'] % 4}")},
        )
        for row in ROWS
    ]


def show_found(label: str, result) -> None:
    show(label, *(part for node, similarity in zip(result.nodes, result.similarities) for part in (node.node_id, node.text, similarity)))


def make_store(name: str, half: bool, jsonb: bool) -> PGVectorStore:
    with psycopg.connect(autocommit=True) as connection:
        # A table this small would be read without its index.
        connection.execute(f"ALTER DATABASE {os.environ['PGDATABASE']} SET enable_seqscan = off")
        connection.execute(TABLE.format(
            name=name, json="jsonb" if jsonb else "json", type="halfvec(8)" if half else "vector(8)",
            method=GRAPH_METHOD, opclass="halfvec_cosine_ops" if half else "vector_cosine_ops",
        ))
    place = {key: os.environ[f"PG{key.upper()}"] for key in ("host", "port", "user")}
    urls = [URL.create(f"postgresql+{driver}", database=os.environ["PGDATABASE"], query=place) for driver in ("psycopg2", "asyncpg")]
    return PGVectorStore(*urls, table_name=name, schema_name="public", embed_dim=8, hybrid_search=True, use_halfvec=half, use_jsonb=jsonb, perform_setup=False)


async def exercise(name: str, half: bool, jsonb: bool) -> None:
    store = make_store(name, half, jsonb)
    known = nodes(name)
    show("added", *store.add(known[:20]), *await store.async_add(known[20:]))
    query = [float(element) for element in COLUMNS[0]["query"]]
    one = MetadataFilters(filters=[MetadataFilter(key="category", value=1)])
    either = MetadataFilters(
        filters=[MetadataFilter(key="kind", value="odd"), MetadataFilter(key="category", value=[0, 2], operator=FilterOperator.IN)],
        condition=FilterCondition.AND,
    )
    for label, filters in (("all", None), ("category 1", one), ("odd of 0 and 2", either)):
        show_found(label, store.query(VectorStoreQuery(query_embedding=query, similarity_top_k=5, filters=filters)))
    with psycopg.connect() as connection:
        plan = connection.execute(f"EXPLAIN (COSTS OFF) SELECT id FROM data_{name} ORDER BY embedding <=> '{query}' LIMIT 5")
        show("plan", *(row[0].strip(" ->") for row in plan if "Scan" in row[0]))
    show_found("asynchronous", await store.aquery(VectorStoreQuery(query_embedding=query, similarity_top_k=5)))
    words = VectorStoreQuery(query_embedding=query, query_str="dancer number 4", similarity_top_k=3, sparse_top_k=3, mode=VectorStoreQueryMode.HYBRID)
    show_found("hybrid", store.query(words))
    # What gives the embeddings back fails in the package where they are of halfvec, whatever the server.
    if not half:
        show_found("diverse", store.query(VectorStoreQuery(query_embedding=query, similarity_top_k=4, mode=VectorStoreQueryMode.MMR)))
        show("nodes", *sorted(node.node_id for node in store.get_nodes(filters=one)))
    store.delete("document-1")
    show_found("after a deletion", store.query(VectorStoreQuery(query_embedding=query, similarity_top_k=9)))
    await store.close()


asyncio.run(exercise("dense", half=False, jsonb=False))
asyncio.run(exercise("half", half=True, jsonb=True))
