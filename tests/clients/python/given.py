"""What a program is given (the JSON of ../dataset.py, named by CLIENTS_DATASET), and how it prints."""

import json
import os

with open(os.environ["CLIENTS_DATASET"]) as file:
    GIVEN = json.load(file)

GRAPH_METHOD = GIVEN["graph_method"]
LIST_METHOD = GIVEN["list_method"]
COLUMNS = GIVEN["columns"]
ROWS = GIVEN["rows"]
# The columns of the table after id and category.
NAMES = [column["name"] for column in COLUMNS]


def value(name: str, given):
    """What is given for a column, as the type of pgvector's package for it. The frameworks' older package has none of these names."""
    from pgvector import Bit, HalfVector, SparseVector, Vector

    return {
        "dense": Vector,
        "half": HalfVector,
        "sparse": lambda elements: SparseVector({int(index): float(element) for index, element in elements.items()}, GIVEN["sparse_dimensions"]),
        "bits": Bit,
    }[name](given)


def plain(thing) -> str:
    """A value as text, after the class that the client gave it."""
    return f"{type(thing).__name__} {thing.to_text() if hasattr(thing, 'to_text') else thing}"


def show(label: str, *things) -> None:
    print(f"{label}:", *(plain(thing) for thing in things))
