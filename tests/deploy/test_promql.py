"""The check of expressions itself: what it lets through and what it refuses."""

import unittest

import promql


class Promql(unittest.TestCase):
    def test_names_of_a_nested_expression_are_found(self):
        text = "sum by (operation) (rate(castmatch_requests_total[5m])) / on (instance) group_left () (castmatch_up > 0)"
        self.assertEqual(promql.check(text), {"castmatch_requests_total", "castmatch_up"})

    def test_wrong_expressions_are_refused(self):
        wrong = {
            "rate(castmatch_request_total[5m])": "no metric is called",
            'castmatch_queue_pending{operation="match"}': "has no label operation",
            "sum by (operation) (castmatch_queue_pending)": "are no labels of",
            "sum(castmatch_rows_failed_total) > 0": "belongs round it",
            "rate(castmatch_request_duration_seconds[5m])": "is a histogram",
            "time() - instance:castmatch_nothing:rate5m": "no recording rule makes",
            "1 + 1": "no series in",
            'castmatch_up{job="$cluster"}': "unknown variable",
        }
        for text, reason in wrong.items():
            with self.subTest(text), self.assertRaises(AssertionError) as refused:
                promql.check(text)
            self.assertIn(reason, str(refused.exception))
        with self.assertRaises(ValueError):
            promql.check("sum(castmatch_up")
