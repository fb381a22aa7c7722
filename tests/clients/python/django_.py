"""Django with pgvector's package, on psycopg 3: makemigrations, migrate, then queries."""

import os
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings

from given import COLUMNS, NAMES, ROWS, show, value

# Migrations are made in a folder of this run.
folder = tempfile.TemporaryDirectory()
sys.path.insert(0, folder.name)
Path(folder.name, "made", "migrations").mkdir(parents=True)
Path(folder.name, "made", "__init__.py").touch()
Path(folder.name, "made", "migrations", "__init__.py").touch()
settings.configure(
    INSTALLED_APPS=["django.contrib.postgres", "catalogue"],
    MIGRATION_MODULES={"catalogue": "made.migrations"},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "NAME": os.environ["PGDATABASE"],
        }
    },
)
django.setup()

from catalogue.models import Item
from django.core.management import call_command
from django.db import DataError, connection
from django.db.models import Avg, F, FloatField, Func, Sum
from django.db.models.functions import Cast
from pgvector.django import CosineDistance, HalfVectorField, HammingDistance, JaccardDistance, L1Distance, L2Distance, MaxInnerProduct, VectorField

DISTANCES = {"<->": L2Distance, "<#>": MaxInnerProduct, "<=>": CosineDistance, "<+>": L1Distance, "<~>": HammingDistance, "<%>": JaccardDistance}


def own(name: str, given):
    """As Django's fields take it: lists for dense vectors, text for bits."""
    return given if name == "bits" else value(name, given)


def fields(row: dict) -> dict:
    return {"id": row["id"], "category": row["category"], **{name: own(name, row[name]) for name in NAMES}}


def migrate() -> None:
    call_command("makemigrations", "catalogue", verbosity=0)
    call_command("migrate", verbosity=0)
    # Nothing is left to do: index and field classes survive being written to a migration and read.
    call_command("makemigrations", "catalogue", check_changes=True, verbosity=0)
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "catalogue_item")
    show("indexes", *sorted(name for name, about in constraints.items() if about["index"]))


def fill_and_read() -> None:
    for row in ROWS[:10]:
        Item.objects.create(**fields(row))
    Item.objects.bulk_create(Item(**fields(row)) for row in ROWS[10:])
    Item.objects.create(id=100)
    for row in Item.objects.order_by("id").values_list("id", "category", *NAMES):
        show("row", *row)
    item = Item.objects.get(id=100)
    item.dense, item.sparse = [1, 2, 3, 4, 5, 6, 7, 8], value("sparse", {"3": 1.5})
    item.save()
    item.refresh_from_db()
    show("saved", item.dense, item.half, item.sparse)
    Item.objects.filter(id=100).update(dense=None, sparse=None)


def distances() -> None:
    for column in COLUMNS:
        for metric in column["metrics"]:
            far = DISTANCES[metric["operator"]](column["name"], own(column["name"], column["query"]))
            rows = Item.objects.filter(**{f"{column['name']}__isnull": False}).annotate(distance=far).order_by("distance", "id")
            show(f"{column['name']} {metric['operator']}", *(field for row in rows.values_list("id", "distance") for field in row))
            near = rows.filter(category=1, distance__lt=10**6)[:5]
            show("of category 1", *near.values_list("id", flat=True))


def searches() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
    for column in COLUMNS:
        for metric in column["metrics"] if column["in_graphs"] else []:
            near = Item.objects.order_by(DISTANCES[metric["operator"]](column["name"], own(column["name"], column["query"])))[:5]
            show(f"{metric['opclass']} plan", *(line.strip(" ->") for line in near.explain(costs=False).splitlines() if "Scan" in line))
            show(metric["opclass"], *near.values_list("id", flat=True))
    for expression in (Cast("dense", HalfVectorField(dimensions=8)), Cast("half", VectorField(dimensions=8))):
        near = Item.objects.order_by(L2Distance(expression, COLUMNS[0]["query"]))[:5]
        show("expression plan", *(line.strip(" ->") for line in near.explain(costs=False).splitlines() if "Scan" in line))
        show("expression", *near.values_list("id", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("RESET enable_seqscan")


def aggregates_and_casts() -> None:
    sums = Item.objects.values("category").annotate(Avg("dense"), Sum("dense"), Avg("half"), Sum("half")).order_by("category")
    for row in sums:
        show("aggregates", *row.values())
    show("average of none", *Item.objects.filter(id__lt=0).aggregate(Avg("dense"), Sum("half")).values())
    casts = Item.objects.annotate(
        as_half=Cast("dense", HalfVectorField(dimensions=8)),
        as_vector=Cast("half", VectorField(dimensions=8)),
        norm=Func("dense", function="vector_norm", output_field=FloatField()),
        between=L2Distance("dense", Cast(F("half"), VectorField(dimensions=8))),
    )
    show("casts", *casts.values_list("as_half", "as_vector", "norm", "between").get(id=1))


def errors() -> None:
    # pgvector's index scan names the two numbers the other way round than its operators; castmatch's does not.
    with connection.cursor() as cursor:
        cursor.execute("SET enable_indexscan = off")
    for attempt in [
        lambda: Item.objects.create(id=200, dense=[1, 2]),
        lambda: Item.objects.create(id=200, half=[1, 2]),
        lambda: Item.objects.create(id=200, sparse=[1.0, 2.0]),
        lambda: Item.objects.create(id=200, bits="101"),
        lambda: Item.objects.order_by(L2Distance("dense", [1, 2])).first(),
        lambda: Item.objects.order_by(CosineDistance("half", [1, 2])).first(),
        lambda: Item.objects.order_by(HammingDistance("bits", "101")).first(),
        lambda: Item.objects.create(id=200, dense=[float("nan")] * 8),
    ]:
        try:
            attempt()
            show("no error")
        except DataError as error:
            show("error", error.__cause__.sqlstate, str(error).partition("\n")[0])


for part in (migrate, fill_and_read, distances, searches, aggregates_and_casts, errors):
    part()
