"""PromQL expressions: parsed, and the metrics and labels that they name checked against metrics.txt."""

import re

import promql_parser as parser

from place import HERE, rules

# Of every target.
COMMON_LABELS = {"job", "instance", "namespace", "pod"}
# What a companion and Prometheus give beside castmatch's own.
FOREIGN = {
    "up": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
}
SUFFIXES = {"_bucket": {"le"}, "_sum": set(), "_count": set()}


def known() -> dict:
    """Name to kind and labels, of metrics.txt."""
    lines = (line.split() for line in (HERE / "metrics.txt").read_text().splitlines())
    return {words[0]: (words[1], set(words[2:])) for words in lines if words and words[0] != "#"}


def recorded() -> dict:
    """Name to labels of the series that recording rules make: those of the name's first part."""
    return {rule["record"]: set(rule["record"].split(":")[0].split("_")) for rule in rules() if "record" in rule}


def labels_of(name: str) -> set:
    """The labels of a series; AssertionError if nothing gives it."""
    metrics = known()
    if name in FOREIGN:
        return FOREIGN[name] | COMMON_LABELS
    if ":" in name:
        assert name in recorded(), f"no recording rule makes {name}"
        return recorded()[name] | COMMON_LABELS
    if name in metrics:
        kind, labels = metrics[name]
        assert kind != "histogram", f"{name} is a histogram: its series end in {', '.join(SUFFIXES)}"
        assert kind != "counter" or name.endswith("_total"), name
        return labels | COMMON_LABELS
    for suffix, more in SUFFIXES.items():
        if name.endswith(suffix) and metrics.get(name.removesuffix(suffix), ("", set()))[0] == "histogram":
            return metrics[name.removesuffix(suffix)][1] | more | COMMON_LABELS
    raise AssertionError(f"no metric is called {name}: see tests/deploy/metrics.txt")


def walk(node, visit) -> None:
    """Calls visit for a node and all below it."""
    visit(node)
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        below = getattr(node, part, None)
        if below is not None and not isinstance(below, (str, int, float)):
            walk(below, visit)
    for argument in getattr(node, "args", None) or []:
        walk(argument, visit)


def check(text: str) -> set:
    """Checks an expression, with Grafana's variables in it; gives the names of its series."""
    text = text.replace("$__rate_interval", "5m").replace('"$job"', '".*"').replace('"$instance"', '".*"')
    assert "$" not in text, f"unknown variable in {text}"
    tree = parser.parse(text)
    names, used, counters = set(), set(), []

    def visit(node):
        if isinstance(node, parser.VectorSelector):
            names.add(node.name)
            labels = labels_of(node.name)
            for matcher in node.matchers.matchers:
                assert matcher.name in labels, f"{node.name} has no label {matcher.name}: {text}"
        if isinstance(node, parser.AggregateExpr) and node.modifier is not None:
            used.update(node.modifier.labels)
        # A counter says something by its growth alone.
        if isinstance(node, parser.MatrixSelector):
            counters.append(node.vector_selector.name)

    walk(tree, visit)
    assert names, f"no series in {text}"
    possible = set().union(*(labels_of(name) for name in names))
    assert used <= possible, f"{used - possible} are no labels of {names}: {text}"
    for name in names:
        if re.search(r"_(total|bucket|count|sum)$", name):
            assert name in counters, f"{name} is a counter: rate() or increase() belongs round it: {text}"
    return names
