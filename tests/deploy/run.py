"""Checks the files of extension/deploy without a container engine or a cluster. Arguments name tests (as unittest does);
--write brings what is generated up to date: kubernetes/prometheusrule.yaml from the rules of Prometheus."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

HEADER = """# For the Prometheus operator. Made from ../prometheus/rules/castmatch.rules.yml by tests/deploy/run.py --write.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: castmatch
  labels: {app.kubernetes.io/name: castmatch}
spec:
"""


def write() -> None:
    from place import KUBERNETES, RULES

    groups = RULES.read_text().partition("\ngroups:\n")[2]
    body = "".join(f"  {line}\n" if line else "\n" for line in ("groups:\n" + groups).splitlines())
    (KUBERNETES / "prometheusrule.yaml").write_text(HEADER + body)


def main() -> int:
    if sys.argv[1:] == ["--write"]:
        write()
        return 0
    loader = unittest.TestLoader()
    tests = loader.loadTestsFromNames(sys.argv[1:]) if sys.argv[1:] else loader.discover(str(Path(__file__).parent))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
    failed = {case.id().split(" ")[0] for case, _ in result.failures + result.errors}
    # As cargo test ends, for the table of scripts/test.sh. A subtest counts with its test.
    word = "ok" if result.wasSuccessful() else "FAILED"
    print(f"test result: {word}. {result.testsRun - len(failed)} passed; {len(failed)} failed; 0 ignored")
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
