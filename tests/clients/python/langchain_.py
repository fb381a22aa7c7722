"""langchain-postgres: PGVectorStore on a table of its own columns, with an index; and the older PGVector. Neither may run
CREATE EXTENSION vector: tables of the first are made by SQL, the second has an option."""

import asyncio
import os

import psycopg
from given import COLUMNS, GRAPH_METHOD, LIST_METHOD, ROWS, show
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_postgres import PGEngine, PGVector, PGVectorStore
from langchain_postgres.v2.indexes import DistanceStrategy, HNSWIndex, IVFFlatIndex, QueryOptions

# A string for each row, and its embedding.
DENSE = {f"row {row['id']}": [float(element) for element in row["dense"]] for row in ROWS}
QUERY = [float(element) for element in COLUMNS[0]["query"]]
METRICS = {"l2": DistanceStrategy.EUCLIDEAN, "ip": DistanceStrategy.INNER_PRODUCT, "cosine": DistanceStrategy.COSINE_DISTANCE}


class Known(Embeddings):
    """Embeddings of the dataset."""

    def embed_documents(self, texts: list) -> list:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list:
        return DENSE.get(text, QUERY)


class SearchOptions(QueryOptions):
    """Settings of a search, as HNSWQueryOptions gives those of pgvector."""

    def to_parameter(self) -> list:
        prefix = "castmatch" if GRAPH_METHOD == "castmatch_hnsw" else "hnsw"
        # A table this small would be read without its index.
        return [f"{prefix}.ef_search = 60", "enable_seqscan = off"]

    def to_string(self) -> str:
        return ", ".join(self.to_parameter())


def show_found(label: str, found: list) -> None:
    show(label, *(part for document, score in found for part in (document.page_content, sorted(document.metadata.items()), float(score))))


def documents(series: int = 0) -> list:
    return [
        Document(
            id=f"00000000-0000-0000-{series:04}-{row['id']:012}",
            page_content=f"row {row['id']}",
            metadata={"category": row["category"], "even": row["id"] % 2 == 0},
        )
        for row in ROWS
    ]


async def new_store() -> None:
    with psycopg.connect(autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE documents (langchain_id uuid PRIMARY KEY, content text NOT NULL, embedding vector(8) NOT NULL, category integer, langchain_metadata json)"
        )
    engine = PGEngine.from_connection_string("postgresql+asyncpg://")
    for name, strategy in METRICS.items():
        store = await PGVectorStore.create(
            engine, Known(), "documents", metadata_columns=["category"], distance_strategy=strategy, index_query_options=SearchOptions()
        )
        if name == "l2":
            show("added", *await store.aadd_documents(documents()))
        await store.aapply_vector_index(HNSWIndex(name="documents_index", index_type=GRAPH_METHOD, distance_strategy=strategy, m=8, ef_construction=40))
        show_found(f"{name}", await store.asimilarity_search_with_score("query", k=5))
        show_found(f"{name} of category 1", await store.asimilarity_search_with_score("query", k=5, filter={"category": 1}))
        show_found(f"{name} by vector", await store.asimilarity_search_with_score_by_vector(DENSE["row 3"], k=3, filter={"category": {"$in": [0, 2]}}))
        relevant = await store.amax_marginal_relevance_search("query", k=4, fetch_k=10)
        show(f"{name} diverse", *(document.page_content for document in relevant))
        show("index", await store.ais_valid_index("documents_index"))
        await store.areindex("documents_index")
        await store.adrop_vector_index("documents_index")
        await store.aapply_vector_index(IVFFlatIndex(name="documents_index", index_type=LIST_METHOD, distance_strategy=strategy, lists=1))
        show_found(f"{name} in lists", await store.asimilarity_search_with_score("query", k=5))
        await store.adrop_vector_index("documents_index")
    await store.adelete([documents()[2].id])
    show("after a deletion", *(document.page_content for document in await store.aget_by_ids([document.id for document in documents()[:4]])))
    await engine.close()


def old_store() -> None:
    place = {key: os.environ[f"PG{key.upper()}"] for key in ("host", "port", "user")}
    url = f"postgresql+psycopg:///{os.environ['PGDATABASE']}?" + "&".join(f"{key}={word}" for key, word in place.items())
    for series, strategy in enumerate(("l2", "cosine", "inner")):
        store = PGVector(Known(), connection=url, collection_name=strategy, embedding_length=8, distance_strategy=strategy, create_extension=False)
        show("added", len(store.add_documents(documents(series))))
        show_found(strategy, store.similarity_search_with_score("query", k=5))
        show_found(f"{strategy} filtered", store.similarity_search_with_score("query", k=3, filter={"$and": [{"category": {"$eq": 1}}, {"even": True}]}))
        relevant = store.max_marginal_relevance_search("query", k=4, fetch_k=10)
        show(f"{strategy} diverse", *(document.page_content for document in relevant))


asyncio.run(new_store())
old_store()
