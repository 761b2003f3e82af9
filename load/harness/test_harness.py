"""Tests of the harness's own judgement: `python3 -m unittest discover -s load -t load`."""

import pathlib
import tempfile
import types
import unittest

from . import charts, drill, report, rounds, scenarios, services, soak, sweep

OUTPUT = """
unary                     Total requests            20
unary                     Failed requests           20
unary                     Median time per request   999ns

Time taken for tests      1.0 seconds
Total requests            20
Successful requests       18
Failed requests           2
Requests per second       20.00 [#/sec]
Median time per request   1234567ns
99.0'th percentile        2345678ns
"""


def sample(**fields):
    empty = {"by_status": {"200": 5}, "errors": {}, "unterminated_streams": 0, "processes": {}}
    return {**empty, **fields}


class DrillTest(unittest.TestCase):
    def plan(self, first):
        file = pathlib.Path(tempfile.mkstemp(suffix=".yml")[1])
        file.write_text(f"# {first}\n")
        self.addCleanup(file.unlink)
        return file

    def judge(self, first="plain", code=0, **result):
        done = types.SimpleNamespace(returncode=code, stderr="panicked")
        return drill.verdict({"requests": 20, "succeeded": 18, "failed": 2, **result}, done, self.plan(first), None)

    def test_totals_are_read_and_not_those_of_one_request(self):
        found = drill.parse(OUTPUT)
        self.assertEqual((found["requests"], found["succeeded"], found["failed"]), (20, 18, 2))
        self.assertEqual((found["rate"], found["median"], found["p99"]), ("20.00", "1234567 ns", "2345678 ns"))

    def test_failures_count_although_drill_ends_with_0(self):
        self.assertFalse(self.judge()[0])
        self.assertTrue(self.judge(failed=0)[0])
        self.assertFalse(self.judge(failed=0, requests=0)[0])
        self.assertFalse(self.judge(failed=0, code=101)[0])

    def test_saturation_must_refuse_some_and_admit_some(self):
        self.assertFalse(self.judge("expects-429", failed=0)[0])
        self.assertFalse(self.judge("expects-429", succeeded=0)[0])


class RoundsTest(unittest.TestCase):
    def test_budgets_compare_within_a_round(self):
        budget = scenarios.Budget("cpu", "own", "base", 2.0)
        rows = {"own": [sample(cpu=3.0), sample(cpu=40.0)], "base": [sample(cpu=2.0), sample(cpu=20.0)]}
        verdict = rounds.judge(budget, rows)
        self.assertEqual((verdict["least"], verdict["most"], verdict["held"]), (1.5, 2.0, True))
        added = rounds.judge(scenarios.Budget("cpu", "own", "base", 5.0, "added"), rows)
        self.assertEqual((added["median"], added["held"]), (10.5, False))

    def test_everything_but_200_is_a_fault(self):
        self.assertEqual(rounds.faults("x", sample()), [])
        bad = sample(by_status={"200": 1, "502": 2}, errors={"timeout": 3}, unterminated_streams=1)
        self.assertEqual(len(rounds.faults("x", bad)), 3)

    def test_results_are_reported_and_drawn(self):
        rows = [sample(cpu=1.0, latency_us={"p50": 5.0}), sample(cpu=3.0, latency_us={"p50": 7.0})]
        result = {
            "name": "a", "title": "A & B", "figures": ["cpu", "latency_us.p50"], "samples": {"own": rows},
            "summary": {"own": rounds.summarise(rows)}, "budgets": [], "errors": [],
        }
        self.assertEqual(result["summary"]["own"]["latency_us.p50"], 6.0)
        self.assertIn("| own | 2.00 | 6.00 |", report.markdown([result], [], {}))
        self.assertIn("A &amp; B", charts.chart(result))


class ScenarioTest(unittest.TestCase):
    def test_names_are_unique_and_selectable(self):
        names = [scenario.name for scenario in scenarios.ALL]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual([item.name for item in scenarios.chosen("ttft")], ["ttft"])
        with self.assertRaises(SystemExit):
            scenarios.chosen("nonsense")

    def test_commands_reach_the_right_mock(self):
        service = services.Service("x", None, "unary:1", "stream:2")
        by_name = {scenario.name: scenario.command(service, 1) for scenario in scenarios.ALL}
        self.assertIn("stream:2", by_name["ttft"])
        self.assertIn("unary:1", by_name["latency-100"])
        self.assertIn("3000ms", by_name["latency-100"])


class SoakTest(unittest.TestCase):
    def windows(self, step):
        return [{"rss": 10**7 + index * step, "fds": 40} for index in range(16)]

    def test_growth_in_the_second_half_fails(self):
        self.assertTrue(soak.verdict(self.windows(0), [])["passed"])
        self.assertFalse(soak.verdict(self.windows(2 * 2**20), [])["passed"])
        self.assertFalse(soak.verdict(self.windows(0), ["healthy: 1 answers of status 502"])["passed"])


class SweepTest(unittest.TestCase):
    def problems(self, raw, status=200, headers=None, **expected):
        answer = {"status": status, "headers": headers or {}, "raw": raw}
        return sweep.check(answer, {"stream": True, "statuses": (200, 429), **expected})

    def test_a_clean_end_after_a_break_is_found(self):
        broken = 'data: {"error":{"message":"x"}}\n\n'
        self.assertEqual(self.problems(broken, broken=True), [])
        self.assertTrue(self.problems(broken + "data: [DONE]\n\n", broken=True))
        self.assertTrue(self.problems("data: [DONE]\n\n", broken=True))
        self.assertTrue(self.problems(broken))

    def test_a_whole_stream_has_its_text_and_one_end(self):
        chunk = 'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % sweep.TEXT
        self.assertEqual(self.problems(chunk + "data: [DONE]\n\n", whole=True), [])
        self.assertTrue(self.problems(chunk, whole=True))
        self.assertTrue(self.problems(chunk + "data: [DONE]\n\n" * 2, whole=True))
        self.assertTrue(self.problems("data: [DONE]\n\n", whole=True))

    def test_leaks_and_insane_hints_are_found(self):
        error = '{"error":{"message":"m","type":"t","param":null,"code":"c","request_id":"r"}}'
        self.assertEqual(self.problems(error, 429, {"retry-after": "2"}, retry_after=True), [])
        self.assertTrue(self.problems(error, 429, {"retry-after": "-5"}))
        self.assertTrue(self.problems(error.replace('"m"', f'"key {services.KEY}"'), 429))
        self.assertTrue(self.problems("<html>", 429))


if __name__ == "__main__":
    unittest.main()
