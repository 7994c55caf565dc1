#!/usr/bin/env python3
"""Makes vectors.json: counts per tick and the evidence the reference implementation assigns to them.

The reference is the simulation script that the decision method was developed with, canary_sim.py. It is kept
outside this repository; pass its path. Needs numpy and scipy. The tests read only vectors.json, so neither
Python nor the script is needed to run them.

    python make_vectors.py path/to/canary_sim.py > vectors.json
"""
import importlib.util
import json
import sys

import numpy as np

SLO = 0.005
OUTAGE = (450, 630, 0.10)

# name, seed, requests per second, canary share, stable error ratio, canary multiple, ticks, more
CASES = [
    ("identical", 1, 100, 0.10, 0.01, 1.0, 80, {}),
    ("twice the errors", 2, 100, 0.10, 0.01, 2.0, 80, {}),
    ("five times the errors", 3, 10, 0.10, 0.01, 5.0, 60, {}),
    ("twenty times the errors", 4, 100, 0.10, 0.001, 20.0, 40, {}),
    ("at the edge of the tolerance, much traffic", 5, 1000, 0.25, 0.01, 1.25, 60, {}),
    ("ticks without canary requests", 6, 0.3, 0.10, 0.05, 3.0, 80, {}),
    ("ticks without requests on either side", 7, 0.1, 0.50, 0.05, 1.0, 80, {}),
    ("bursts of errors", 8, 100, 0.10, 0.01, 1.0, 80, {"shape": {"cluster": 5.0}}),
    ("bursts of errors, known beforehand", 9, 100, 0.10, 0.01, 5.0, 60, {"shape": {"cluster": 5.0}, "phi0": 6.5}),
    ("shared outage", 10, 100, 0.10, 0.01, 1.0, 70, {"shape": {"outage": OUTAGE}}),
    ("late onset", 11, 100, 0.10, 0.01, 5.0, 70, {"onset": 675.0}),
    ("everything at once", 12, 100, 0.10, 0.01, 2.0, 80,
     {"shape": {"common": 0.5, "outage": OUTAGE, "cluster": 3.0, "arm": 0.2}, "phi0": 2.0}),
    ("better canary under the objective", 13, 100, 0.25, 0.004, 0.2, 40, {}),
]


# name, seed, requests per second, edges, slowdown, share that is a second slower, bimodal, ticks
LATENCY_CASES = [
    ("identical, default edges", 31, 30, "default", 1.0, 0.0, False, 24),
    ("half as slow again, default edges", 32, 30, "default", 1.5, 0.0, False, 24),
    ("half as slow again, fine edges", 33, 30, "fine x1.19", 1.5, 0.0, False, 16),
    ("some a second slower", 34, 100, "default", 1.0, 0.02, False, 20),
    ("two kinds of requests", 35, 100, "default", 1.3, 0.0, True, 20),
]


class Latency:
    """The reference's latency_eproc tick by tick, with each edge tempered by its own dispersion."""

    def __init__(self, ref, edges, hist, margin, temper):
        ho, hn = ref.over(hist.astype(float))           # the reference draws them as single precision
        self.ref, self.temper = ref, temper
        self.s_hat = ((ho.sum(1) + 0.5) / (hn.sum(1)[:, None] + 1.0))[0]
        self.rho = ref.tail_margin(edges, self.s_hat[None, :], margin)[0]
        self.used = [j for j in range(len(edges)) if 0.002 < self.s_hat[j] < 0.5]
        self.procs = []
        for j in self.used:
            most = max(0.95 / self.s_hat[j], 1.05 * self.rho[j])
            grid = np.minimum(self.rho[j] * np.array([1.1, 1.3, 1.7, 2.5, 5.0]), most)
            self.procs.append(ref.EProc(1, self.rho[j], grid, temper=temper))

    def step(self, nc, oc, ns, os_):
        one = lambda x: np.array([float(x)])
        return float(np.mean([p.step(one(nc), one(oc[j]), one(ns), one(os_[j]))[0]
                              for j, p in zip(self.used, self.procs)]))


def latency(ref, name, seed, rate, buckets, scale, tail, bimodal, ticks):
    rng = np.random.default_rng(seed)
    edges, margin = ref.BUCKETS[buckets], 0.20
    hist = ref.gen_hist(rng, 1, rate, 240, edges, 1.0, bimodal=bimodal)
    hc = ref.gen_hist(rng, 1, rate * 0.1, ticks, edges, scale, tail, bimodal)
    hs = ref.gen_hist(rng, 1, rate * 0.9, ticks, edges, 1.0, 0, bimodal)
    (oc, nc), (os_, ns) = ref.over(hc.astype(float)), ref.over(hs.astype(float))
    plain, tempered = Latency(ref, edges, hist, margin, False), Latency(ref, edges, hist, margin, True)
    first, out = np.inf, []
    for t in range(ticks):
        args = nc[0, t], oc[0, t], ns[0, t], os_[0, t]
        if plain.step(*args) >= 1 / ref.ALPHA_R and first == np.inf:
            first = (t + 1) * ref.DT
        want = tempered.step(*args)
        out.append([[int(nc[0, t])] + oc[0, t].astype(int).tolist(), [int(ns[0, t])] + os_[0, t].astype(int).tolist(),
                    float(f"{want:.12g}")])
    # Without tempering it has to decide when the reference does.
    assert first == ref.latency_eproc(hc, hs, edges, hist, margin)[0], name
    _, hn = ref.over(hist.astype(float))
    return {"name": name, "edges": edges.tolist(), "requests": int(hn.sum()), "shares": plain.s_hat.tolist(),
            "max_ratios": [[float(edges[j]), float(f"{plain.rho[j]:.12g}")] for j in plain.used], "ticks": out}


def load(path):
    spec = importlib.util.spec_from_file_location("canary_sim", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(ref, name, seed, rate, share, q, mult, ticks, more):
    rng = np.random.default_rng(seed)
    data = ref.gen(rng, 1, rate, share, q, mult, ticks, onset=more.get("onset", 0.0), shape=more.get("shape"))
    phi0 = more.get("phi0", 1.0)
    back = ref.EProc(1, ref.RHO0, ref.GRID_R, phi0=np.array([phi0]))
    better = ref.EProc(1, ref.RHO1, ref.GRID_P, starts=False, phi0=np.array([phi0]))
    under = np.full((1, 4), 0.25)                       # as in run_policy
    ratios = SLO * np.array([0.02, 0.2, 0.4, 0.66])
    out = []
    for t in range(ticks):
        nc, ec, ns, es = (data[k][:, t] for k in ("nc", "ec", "ns", "es"))
        r = back.step(nc, ec, ns, es)[0]
        p = better.step(nc, ec, ns, es)[0]
        ll = ec[:, None] * np.log(ratios / SLO) + (nc - ec)[:, None] * np.log((1 - ratios) / (1 - SLO))
        under = np.clip(under * np.exp(np.clip(ll, -60, 60)), 1e-200, 1e200)
        mean = 0.5 * p + 0.5 * under.sum(1)[0]
        out.append([int(nc[0]), int(ec[0]), int(ns[0]), int(es[0])] + [float(f"{x:.12g}") for x in (r, p, mean, back.phi[0])])
    return {"name": name, "phi0": phi0, "ticks": out}


def history(ref, seed, rate, q, shape, minutes):
    data = ref.gen(np.random.default_rng(seed), 1, rate, 0.1, q, 1.0, int(minutes * 60 / ref.DT), shape=shape)
    phi = ref.phi_from_history(np.random.default_rng(seed), 1, rate, q, shape, minutes=minutes)[0]
    rows = np.stack([data[k][0] for k in ("nc", "ec", "ns", "es")], 1).astype(int).tolist()
    return {"phi": float(f"{phi:.12g}"), "ticks": rows}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    ref = load(sys.argv[1])
    doc = {
        "columns": ["n_c", "e_c", "n_s", "e_s", "rollback", "promotion", "promotion with slo", "phi"],
        "max_ratio": ref.RHO0, "unacceptable_ratio": ref.RHO1, "slo": SLO,
        "cases": [run(ref, *case) for case in CASES],
        "latency": [latency(ref, *case) for case in LATENCY_CASES],
        "histories": [history(ref, 21, 100, 0.01, {}, 40), history(ref, 22, 100, 0.01, {"cluster": 5.0}, 40)],
    }
    text = json.dumps(doc, separators=(",", ":"))
    print(text.replace('{"name"', '\n{"name"').replace('{"phi"', '\n{"phi"'))


if __name__ == "__main__":
    main()
