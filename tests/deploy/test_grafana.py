"""The dashboard and what provisions it."""

import json
import unittest

import promql
from place import DASHBOARD, DEPLOY, documents

KINDS = {"row", "stat", "timeseries", "table"}
# What the companion's page shows too: at least one panel asks for each of these.
SUBJECTS = {
    "castmatch_request_duration_seconds_bucket", "castmatch_requests_total", "castmatch_cache_hits_total", "castmatch_queue_pending",
    "castmatch_rows_embedded_total", "castmatch_model_requests_total", "castmatch_model_loaded", "castmatch_index_rows",
    "castmatch_index_size_bytes", "castmatch_index_dead_ratio", "castmatch_conversations", "castmatch_messages",
    "castmatch_prune_last_success_timestamp_seconds", "castmatch_embedder_resident_memory_bytes", "process_resident_memory_bytes",
}


class Grafana(unittest.TestCase):
    def setUp(self):
        self.board = json.loads(DASHBOARD.read_text())
        self.panels = self.board["panels"]

    def test_dashboard_has_the_structure_that_grafana_reads(self):
        self.assertEqual((self.board["uid"], self.board["title"], self.board["id"]), ("castmatch", "castmatch", None))
        self.assertGreaterEqual(self.board["schemaVersion"], 39)
        self.assertEqual([each["name"] for each in self.board["templating"]["list"]], ["datasource", "job", "instance"])
        ids = [panel["id"] for panel in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in self.panels:
            with self.subTest(panel["title"]):
                self.assertIn(panel["type"], KINDS)
                self.assertEqual(set(panel["gridPos"]), {"h", "w", "x", "y"})
                self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], 24)
                if panel["type"] != "row":
                    self.assertTrue(panel["description"].endswith("."), "a panel says what it shows")
                    self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})
                    references = [target["refId"] for target in panel["targets"]]
                    self.assertEqual(len(references), len(set(references)))

    def test_panels_do_not_overlap(self):
        taken = {}
        for panel in self.panels:
            at = panel["gridPos"]
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                self.assertNotIn(cell, taken, f"{panel['title']} lies over {taken.get(cell)}")
                taken[cell] = panel["title"]

    def test_figures_come_first_then_curves(self):
        kinds = [panel["type"] for panel in self.panels]
        last_stat = len(kinds) - 1 - kinds[::-1].index("stat")
        self.assertLess(last_stat, kinds.index("timeseries"))

    def test_expressions_name_metrics_that_exist_and_follow_the_variables(self):
        asked = set()
        for panel in self.panels:
            for target in panel.get("targets", []):
                with self.subTest(panel["title"]):
                    names = promql.check(target["expr"])
                    asked |= names
                    selectors = target["expr"].count('job=~"$job", instance=~"$instance"')
                    self.assertGreaterEqual(selectors, len(names), target["expr"])
        for annotation in self.board["annotations"]["list"]:
            promql.check(annotation["expr"])
        self.assertEqual(SUBJECTS - asked, set())

    def test_provisioning_finds_the_dashboard_and_prometheus(self):
        compose = documents(DEPLOY / "docker-compose.yml")[0]["services"]
        folder = documents(DEPLOY / "grafana/provisioning/dashboards/castmatch.yml")[0]["providers"][0]["options"]["path"]
        self.assertIn(f"./grafana/dashboards:{folder}:ro", compose["grafana"]["volumes"])
        source = documents(DEPLOY / "grafana/provisioning/datasources/prometheus.yml")[0]["datasources"][0]
        self.assertEqual((source["type"], source["url"]), ("prometheus", "http://prometheus:9090"))
        scrape = documents(DEPLOY / "prometheus" / "compose.yml")[0]["scrape_configs"][0]["static_configs"][0]["targets"]
        self.assertEqual(scrape, ["companion:9187"])
        self.assertLessEqual({"companion", "prometheus"}, set(compose))
