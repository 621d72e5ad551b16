"""What scripts/gpu_check.sh and bench/gpu_summary.py decide, on results that were made up: they run
for real only where there is a card."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SUMMARY = [sys.executable, ROOT / "bench/gpu_summary.py"]


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, results):
        (self.out / f"{name}.json").write_text(json.dumps({"results": results}))

    def write_run(self, name, losses):
        (self.out / name).mkdir()
        lines = [json.dumps({"step": i + 1, "loss": loss}) for i, loss in enumerate(losses)]
        (self.out / name / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        return self.out / name

    def write_good_results(self):
        self.write_parts(("parity", "required", "passed"), ("memcheck", "optional", "timed_out"))
        network = {"network": "cifar10"}
        self.write("step_bf16", [network | {"batch": 128, "memory_bytes": 5.9e9}])
        self.write("sample_bf16", [network | {"batch": 256, "seconds_for_256x1000": 7.9}])
        self.write("norm_bf16", [{"op": "GroupNormSilu", "pass": "forward", "of_peak": 0.81}])
        self.write("pytorch_train", [{"ratio": 1.31}])
        self.write("pytorch_sample", [{"ratio": 1.51}])
        self.convolutions = [
            {"pass": direction, "extent": extent, "in_channels": channels, "kernel": 3,
             "out_channels": channels, "stride": 1, "tflops": rate}
            for direction in ("forward", "backward_data")
            for extent, channels, rate in ((32, 128, 501), (32, 256, 551), (16, 256, 560))]
        self.write("conv_bf16", self.convolutions)

    def write_parts(self, *parts):
        self.parts = [dict(zip(("part", "importance", "status", "seconds"), part + (1,)))
                      for part in parts]
        (self.out / "parts.jsonl").write_text("\n".join(map(json.dumps, self.parts)))

    def summary(self):
        code = run(*SUMMARY, "summary", self.out).returncode
        report = json.loads((self.out / "summary.json").read_text())
        self.assertEqual(report["passed"], code == 0)
        return report

    def test_good_results_pass(self):
        self.write_good_results()
        self.assertTrue(self.summary()["passed"])

    def test_every_threshold_counts(self):
        self.write_good_results()
        for name, results in (("step_bf16", [{"network": "cifar10", "batch": 128,
                                              "memory_bytes": 6.1e9}]),
                              ("sample_bf16", [{"network": "cifar10", "batch": 256,
                                                "seconds_for_256x1000": 8.1}]),
                              ("norm_bf16", [{"op": "GroupNormSilu", "pass": "forward",
                                              "of_peak": 0.79}]),
                              ("pytorch_train", [{"ratio": 1.29}]),
                              ("pytorch_sample", [{"ratio": 1.49}]),
                              ("conv_bf16", self.convolutions[:-1]
                               + [self.convolutions[-1] | {"tflops": 549}])):
            with self.subTest(name):
                self.write_good_results()
                self.write(name, results)
                statuses = [c["status"] for c in self.summary()["thresholds"].values()]
                self.assertEqual(statuses.count("fail"), 1)

    def test_what_was_not_measured_has_not_passed(self):
        self.write_good_results()
        (self.out / "norm_bf16.json").write_text('{"results": [')  # cut off by its time limit
        report = self.summary()
        self.assertFalse(report["passed"])
        self.assertEqual(report["thresholds"]["group_norm_of_copy"]["status"], "not measured")

    def test_parts_count_by_importance(self):
        self.write_good_results()
        for importance, status, passed in (("required", "timed_out", False),
                                           ("required", "skipped", False),
                                           ("optional", "failed", False),
                                           ("optional", "skipped", True)):
            self.write_parts(("part", importance, status))
            self.assertEqual(self.summary()["passed"], passed, (importance, status))

    def test_losses_are_compared_step_by_step(self):
        a, b = self.write_run("a", [1.0, 0.5]), self.write_run("b", [1.0, 0.5004])
        short = self.write_run("short", [1.0])
        for tolerance, other, code in (("1e-3", b, 0), ("1e-4", b, 1), ("1", short, 1),
                                       ("0", a, 0)):
            result = run(*SUMMARY, "losses", "--tolerance", tolerance, a, other)
            self.assertEqual(result.returncode, code, result.stdout + result.stderr)

    def test_dry_run_prints_every_part_and_runs_none(self):
        result = run(ROOT / "scripts/gpu_check.sh", "--dry-run", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        for part in ("build", "parity_ops", "parity_cuda", "graphs", "losses_full_bf16",
                     "conv_bf16", "pytorch_train", "launch_bf16", "racecheck"):
            self.assertRegex(result.stdout, rf"(?m)^{part} +(required|optional) +\d+ s  ")
        self.assertFalse((self.out / "parts.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
