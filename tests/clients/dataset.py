"""What the programs work on: a table with a column of each type, 40 rows, a query for each column, the operators and the operator
classes. Written as JSON, so that programs of every language read the same.

Elements are whole numbers, so that sums of their products are exact in whatever order they are added, and distances are compared to the
last digit. The rows nearest to a query are at different distances."""

ROWS = 40
DIMENSIONS = 8
SPARSE_DIMENSIONS = 1000
BITS = 48

OPERATORS = ("<->", "<#>", "<=>", "<+>")
COLUMNS = {
    "dense": {"type": f"vector({DIMENSIONS})", "operators": OPERATORS},
    "half": {"type": f"halfvec({DIMENSIONS})", "operators": OPERATORS},
    "sparse": {"type": f"sparsevec({SPARSE_DIMENSIONS})", "operators": OPERATORS},
    "bits": {"type": f"bit({BITS})", "operators": ("<~>", "<%>")},
}
METRICS = {"<->": "l2", "<#>": "ip", "<=>": "cosine", "<+>": "l1", "<~>": "hamming", "<%>": "jaccard"}


def numbers(seed: int):
    """Whole numbers from -99 to 99 by a linear congruential generator."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (state >> 33) % 199 - 99


def dense(seed: int) -> list:
    source = numbers(seed)
    return [next(source) for _ in range(DIMENSIONS)]


def sparse(seed: int) -> dict:
    """Index, from 0, to element: the first fifty indices, so that two have some in common, and a few beyond."""
    source = numbers(seed)
    found = {}
    while len(found) < 16:
        index = (next(source) + 99) % 50 + (950 if len(found) % 4 == 3 else 0)
        found[index] = next(source) or 1
    return {str(index): found[index] for index in sorted(found)}


def bits(ones: int, shift: int) -> str:
    """A bit string with that many ones, turned by shift: against a query of ones alone, no two numbers give the same distance."""
    text = "1" * ones + "0" * (BITS - ones)
    return text[shift % BITS :] + text[: shift % BITS]


def row(number: int) -> dict:
    return {
        "id": number,
        "category": number % 3,
        "dense": dense(number),
        "half": dense(1000 + number),
        "sparse": sparse(2000 + number),
        "bits": bits(number * 7 % 41 + 1, number * 5),
    }


def dataset(graph_method: str, list_method: str, in_graphs: tuple, in_lists: tuple) -> dict:
    """All of it. graph_method and list_method: access methods that take the place of hnsw and ivfflat; in_graphs: the columns that the
    former has operator classes for, in_lists: the operator classes of the latter."""

    def metric(operator: str, sql_type: str) -> dict:
        opclass = f"{sql_type.partition('(')[0]}_{METRICS[operator]}_ops"
        return {"operator": operator, "name": METRICS[operator], "opclass": opclass, "in_lists": opclass in in_lists}

    return {
        "graph_method": graph_method,
        "list_method": list_method,
        "dimensions": DIMENSIONS,
        "sparse_dimensions": SPARSE_DIMENSIONS,
        "columns": [
            {
                "name": name,
                "type": column["type"],
                "query": {"dense": dense(5000), "half": dense(5001), "sparse": sparse(5002), "bits": "1" * BITS}[name],
                "metrics": [metric(operator, column["type"]) for operator in column["operators"]],
                "in_graphs": name in in_graphs,
            }
            for name, column in COLUMNS.items()
        ],
        "rows": [row(number) for number in range(1, ROWS + 1)],
    }
