#!/usr/bin/env python3
"""Makes statistics.json: what scipy says about small samples, for statistics_test.cpp.

  python3 tests/golden/make_statistics_golden.py      # needs numpy and scipy >= 1.11

The bootstrap is checked twice: scipy's BCa interval of the very resamples that the program draws
(philox.py makes the same), which must agree to rounding, and scipy's own with its own resamples,
which must agree within their noise.
"""

import json
import pathlib
from types import SimpleNamespace

import numpy as np
from philox import philox4x32, random_site, uniform
from scipy import stats

RESAMPLES = 10_000


def sample(path, n, skewed):
    u = uniform(2020, f"golden/statistics/{path}", (n,)).astype(np.float64)
    return np.round(-np.log(u) if skewed else stats.norm.ppf(u), 6) + (3 if skewed else 0)


def resampled_means(values):
    n = len(values)
    quads = (n + 3) // 4
    counter = np.zeros((RESAMPLES, quads, 4), np.uint64)
    counter[..., 0] = np.arange(quads)
    counter[..., 1] = np.arange(RESAMPLES)[:, None]
    counter[..., 3] = random_site("statistics/bootstrap")
    bits = philox4x32(counter, (0, 0)).reshape(RESAMPLES, -1)[:, :n].astype(np.uint64)
    indices = (bits * np.uint64(n)) >> np.uint64(32)
    counts = np.stack([np.bincount(row.astype(int), minlength=n) for row in indices])
    sums = np.zeros(RESAMPLES)
    for i in range(n):  # in the order of the sample, as the program adds
        sums += counts[:, i] * values[i]
    return sums / n


def bca(values, **options):
    result = stats.bootstrap((values,), np.mean, method="BCa", axis=-1, **options)
    return [float(v) for v in result.confidence_interval]


def one_sample(name, n, skewed):
    values = sample(name, n, skewed)
    ours = SimpleNamespace(bootstrap_distribution=resampled_means(values))
    flips = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    t = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    return {
        "values": values.tolist(),
        "std": float(values.std(ddof=1)),
        "sem": float(stats.sem(values)),
        "t": [float(v) for v in t],
        "bca": bca(values, n_resamples=0, bootstrap_result=ours),
        "bca_own": bca(values, n_resamples=100_000, rng=np.random.default_rng(0)),
        "p_signflip": float(flips.pvalue),
    }


def two_samples(n, m):
    a, b = sample(f"a{n}", n, False), sample(f"b{m}", m, False) + 1
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    test = stats.permutation_test(
        (a, b),
        lambda x, y: abs(np.mean(x) - np.mean(y)),
        permutation_type="independent",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=False,
    )
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "welch": [float(v) for v in welch],
        "p_permutation": float(test.pvalue),
    }


golden = {
    "t_quantiles": [
        [p, nu, float(stats.t.ppf(p, nu))]
        for p in (0.6, 0.9, 0.975, 0.9995)
        for nu in (1, 2, 3.7, 9, 120)
    ],
    "one_sample": [
        one_sample(f"{n}{'s' if skewed else ''}", n, skewed)
        for n in (2, 3, 5, 8, 15)
        for skewed in (False, True)
    ],
    "two_samples": [two_samples(*sizes) for sizes in ((2, 2), (3, 5), (6, 6))],
}
path = pathlib.Path(__file__).with_name("statistics.json")
path.write_text(json.dumps(golden, indent=1) + "\n")
print(path, path.stat().st_size, "bytes")
