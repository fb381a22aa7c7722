"""The model of django_.py."""

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Cast
from given import COLUMNS, GRAPH_METHOD, LIST_METHOD
from pgvector.django import BitField, HalfVectorField, HnswIndex, IvfflatIndex, SparseVectorField, VectorField


class NearestIndex(HnswIndex):
    """pgvector's index class; the suffix is the access method."""

    suffix = GRAPH_METHOD


class ListIndex(IvfflatIndex):
    """Likewise."""

    suffix = LIST_METHOD


class Item(models.Model):
    id = models.BigIntegerField(primary_key=True)
    category = models.IntegerField(null=True)
    dense = VectorField(dimensions=8, null=True)
    half = HalfVectorField(dimensions=8, null=True)
    sparse = SparseVectorField(dimensions=1000, null=True)
    bits = BitField(length=48, null=True)

    class Meta:
        indexes = [
            *(
                NearestIndex(name=f"items_{metric['opclass']}", fields=[column["name"]], m=8, ef_construction=40, opclasses=[metric["opclass"]])
                for column in COLUMNS
                if column["in_graphs"]
                for metric in column["metrics"]
            ),
            # Half the size: an index on an expression.
            NearestIndex(OpClass(Cast("dense", HalfVectorField(dimensions=8)), name="halfvec_l2_ops"), name="items_half_of_dense"),
            ListIndex(OpClass(Cast("half", VectorField(dimensions=8)), name="vector_l2_ops"), lists=1, name="items_dense_of_half"),
        ]
