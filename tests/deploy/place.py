"""Where the files are, and the programs of the environment."""

import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "extension" / "deploy"
HERE = ROOT / "tests" / "deploy"
RULES = DEPLOY / "prometheus" / "rules" / "castmatch.rules.yml"
RULE_TESTS = DEPLOY / "prometheus" / "tests" / "castmatch.rules.test.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "castmatch.json"
KUBERNETES = DEPLOY / "kubernetes"
# Of kustomize's folder, what is no manifest of the API server.
NO_MANIFESTS = ("kustomization.yaml", "prometheus-adapter.yaml")


def program(variable: str, name: str) -> str:
    """The program that the environment names, else the one of that name beside this Python, else in PATH."""
    import sys

    beside = Path(sys.executable).parent / name
    return os.environ.get(variable) or (str(beside) if beside.exists() else name)


def run(*command, **options) -> str:
    """Runs a program to its end, gives what it printed; AssertionError with that if it fails."""
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}"
    return done.stdout


def documents(path: Path) -> list:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def rules() -> list:
    """All rules of Prometheus, recording and alerting."""
    return [rule for group in documents(RULES)[0]["groups"] for rule in group["rules"]]


def manifests() -> list:
    """All Kubernetes objects, each with its file's name."""
    return [
        (path.name, document)
        for path in sorted(KUBERNETES.glob("*.yaml"))
        if path.name not in NO_MANIFESTS
        for document in documents(path)
    ]
