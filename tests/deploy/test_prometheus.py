"""The scrape configuration, the rules and their tests."""

import re
import unittest

import promql
from place import DEPLOY, HERE, ROOT, RULES, RULE_TESTS, documents, program, rules, run

RUNBOOK = "file:///usr/share/doc/castmatch-companion/alerts.md#"
PROMTOOL = program("PROMTOOL", "promtool")


def alerts() -> list:
    return [rule for rule in rules() if "alert" in rule]


class Prometheus(unittest.TestCase):
    def test_configurations_and_rules_are_valid(self):
        for name in ("prometheus.yml", "compose.yml"):
            said = run(PROMTOOL, "check", "config", DEPLOY / "prometheus" / name)
            self.assertIn("SUCCESS: 1 rule files found", said)
        run(PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", RULES)

    def test_rules_do_what_their_tests_say(self):
        self.assertIn("SUCCESS", run(PROMTOOL, "test", "rules", RULE_TESTS))

    def test_each_alert_is_tested_silent_and_firing(self):
        silent, firing = set(), set()
        for test in documents(RULE_TESTS)[0]["tests"]:
            for case in test.get("alert_rule_test", []):
                (firing if case["exp_alerts"] else silent).add(case["alertname"])
        names = {alert["alert"] for alert in alerts()}
        self.assertEqual((names - silent, names - firing), (set(), set()))

    def test_each_recording_rule_is_tested(self):
        text = RULE_TESTS.read_text()
        self.assertEqual([rule["record"] for rule in rules() if "record" in rule and rule["record"] not in text], [])

    def test_alerts_say_what_is_wrong_and_where_to_read_on(self):
        runbook = (ROOT / "docs" / "alerts.md").read_text()
        sections = set(re.findall(r"^## (\w+)$", runbook, re.MULTILINE))
        names = {alert["alert"] for alert in alerts()}
        self.assertEqual(names, sections, "docs/alerts.md has one section for each alert and no other")
        self.assertEqual(len(names), len(alerts()), "one name, one alert")
        for alert in alerts():
            notes = alert["annotations"]
            self.assertEqual(notes["runbook_url"], RUNBOOK + alert["alert"].lower())
            self.assertTrue(notes["summary"].endswith(".") and notes["description"].endswith("."), alert["alert"])
            self.assertIn(alert["labels"]["severity"], ("warning", "critical"))
        shipped = (ROOT / "scripts" / "package.sh").read_text()
        self.assertRegex(shipped, r'install -m 644 .*"\$root/docs/alerts.md".* "\$folder/usr/share/doc/\$companion"')

    def test_expressions_name_metrics_that_exist(self):
        for rule in rules():
            with self.subTest(rule.get("alert") or rule.get("record")):
                promql.check(rule["expr"])

    def test_metrics_are_documented(self):
        pages = "\n".join((ROOT / "docs" / page).read_text() for page in ("operations.md", "companion.md"))
        pending = {line for line in (HERE / "metrics_pending.txt").read_text().split("\n") if line and line[0] != "#"}
        # "castmatch_pruned_{messages,requests}_total" in a table stands for both.
        for head, parts, tail in re.findall(r"(castmatch_\w*)\{([\w,]+)\}(_\w+)", pages):
            pages += "".join(f" `{head}{part}{tail}`" for part in parts.split(","))
        documented = {name for name in promql.known() if re.search(rf"\b{name}\b", pages)}
        self.assertEqual(set(promql.known()) - documented - pending, set(), "not in docs/operations.md or docs/companion.md")
        self.assertEqual(documented & pending, set(), "documented now: take them out of metrics_pending.txt")
