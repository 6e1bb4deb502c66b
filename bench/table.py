# SPDX-License-Identifier: Apache-2.0
"""The table: what is measured, what was to be reached, what is aimed at, and how far it is, from the benchmarks' figures.

A row is higher-is-better, or lower-is-better where its bound is a time or a size. A row whose figures are missing, as
those that need peers are without them, stays in the table as not measured.
"""

from dataclasses import dataclass

SHAPES = ("8192x1000", "512x32000", "128x128256")
SMALL_SHAPE = "65536x10"
SOFTMAX = {"sparse": "sparse_softmax_cross_entropy", "one-hot": "softmax_cross_entropy"}
ELEMENTS = "16777216x1"
ELEMENTWISE = {"mean_squared_error": True, "huber_loss": True, "sigmoid_cross_entropy": False, "log_loss": False}
KERNEL_PEERS = ("torch", "compile", "jax", "numpy")
LOSS_PEERS = ("torch", "optax")
PRODUCTS = ("info_nce", "nt_xent", "orthogonal_regularization")  # matrix products at heart: their distance is told


@dataclass
class Row:
    group: str
    what: str
    reach: float | None
    aim: float | None
    measured: float | None
    unit: str = "times"
    lower: bool = False  # lower is better
    detail: str = ""

    def ahead(self, bound):
        """How many times better than a bound; 1 is the bound itself."""
        return bound / self.measured if self.lower else self.measured / bound

    @property
    def verdict(self):
        if self.measured is None:
            return "not measured"
        if self.aim is not None and self.ahead(self.aim) >= 1:
            return "aim reached"
        if self.reach is None:
            return "reported" if self.aim is None else "below the aim"
        return "reached" if self.ahead(self.reach) >= 1 else "not reached"

    def number(self, value):
        if value is None:
            return ""
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return text + ("×" if self.unit == "times" else f" {self.unit}")

    def bound(self, value):
        return "" if value is None else ("≤ " if self.lower else "≥ ") + self.number(value)


class Figures:
    """Figures of one run, by program and name."""

    def __init__(self, report):
        self.of = {program: {one["what"]: one["value"] for one in ones} for program, ones in report["figures"].items()}

    def get(self, program, what):
        return self.of.get(program, {}).get(what)

    def ratio(self, over, under):
        return over / under if over is not None and under else None


def extreme(values, largest=True):
    """The largest or smallest; None where one was not measured."""
    values = list(values)
    if not values or None in values:
        return None
    return max(values) if largest else min(values)


def small_rows(f):
    name = "the worked example, 32 connections, "
    yield Row("requests", "worked example, 32 connections, to an echo of the same bytes", 0.75, 0.9,
              f.get("bench_http", name + "lossd to echo"),
              detail=rates(f, "bench_http", {"lossd": name + "lossd", "echo": name + "echo of the same bytes"}))
    name = "beside FastAPI, the worked example, "
    yield Row("requests", "worked example, 32 connections, to FastAPI+torch", 15, None,
              f.get("bench_fastapi", name + "lossd to FastAPI"), detail=fastapi_rates(f, name))
    for shape in ("1024x1000", "8192x100"):
        for what, short, reach, aim in (("losses", "no gradients", 8, 15), ("losses and gradient", "gradients", 3.5, 6)):
            name = f"beside FastAPI, {shape}, {what}, "
            yield Row("requests", f"{shape} as JSON, {short}, to FastAPI+torch+orjson", reach, aim,
                      f.get("bench_fastapi", name + "lossd to FastAPI"), detail=fastapi_rates(f, name))


def rates(f, program, names):
    known = {short: f.get(program, name) for short, name in names.items()}
    return ", ".join(f"{short} {value:,.0f}/s" if value >= 100 else f"{short} {value:.3g}/s"
                     for short, value in known.items() if value is not None)


def fastapi_rates(f, name):
    return rates(f, "bench_fastapi", {"lossd": name + "lossd", "FastAPI": name + "FastAPI"})


def number_rows(f):
    for way, dtype, reach, aim in (("in", "float32", 12, 6), ("in", "float64", 18, 10),
                                   ("out", "float32", 25, 12), ("out", "float64", 35, 12)):
        peer = f.get("bench_numbers", f"JSON {way}, {dtype}, orjson in memory")
        yield Row("numbers", f"JSON {way}, {dtype}, server CPU", reach, aim,
                  f.get("bench_numbers", f"JSON {way} over HTTP, {dtype}, server CPU"), "ns", True,
                  f"orjson {peer:.3g} ns" if peer else "")


def times(f, label):
    """Milliseconds of lossd and of each library for one case."""
    known = {"lossd": f.get("bench_kernels", label)}
    known |= {peer: f.get(f"peers_{peer}", label) for peer in KERNEL_PEERS}
    return {name: value for name, value in known.items() if value is not None}


def beside(f, label, peers):
    """How many times faster than the fastest of the peers, all of which must have been measured; the details."""
    of = times(f, label)
    fastest = extreme((of.get(peer) for peer in peers), largest=False)
    detail = ", ".join(f"{name} {value:.3g}" for name, value in of.items()) + " ms" if of else ""
    return f.ratio(fastest, of.get("lossd")), detail


def kernel_row(f, group, what, label, peers, reach, aim=None):
    measured, detail = beside(f, label, peers)
    return Row(group, what, reach, aim, measured, detail=detail)


def softmax_rows(f):
    for short, name in SOFTMAX.items():
        for shape in SHAPES:
            label = f"{name} {shape}, loss and gradient"
            what = f"{short} {shape}, loss + gradient, to "
            yield kernel_row(f, "softmax", what + "torch eager", label, ("torch",), 3)
            yield kernel_row(f, "softmax", what + "the best of torch.compile, jax, numpy", label,
                             ("compile", "jax", "numpy"), 1.2)
            yield Row("softmax", what + "a memcpy of the same bytes", None, 0.6,
                      f.get("bench_kernels", label + ", rate to memcpy's"))
        yield kernel_row(f, "softmax", f"{short} {SMALL_SHAPE}, loss + gradient, to the best of torch.compile, jax",
                         f"{name} {SMALL_SHAPE}, loss and gradient", ("compile", "jax"), 2.5, 4)
        for shape in (SMALL_SHAPE, *SHAPES):
            yield kernel_row(f, "softmax", f"{short} {shape}, loss alone, to the best of torch.compile, jax",
                             f"{name} {shape}, loss", ("compile", "jax"), 1)


def elementwise_rows(f):
    for name, bandwidth_bound in ELEMENTWISE.items():
        label = f"{name} {ELEMENTS}, loss and gradient"
        yield kernel_row(f, "elementwise", f"{name}, 16M, loss + gradient, to the best peer", label, KERNEL_PEERS, 1)
        yield Row("elementwise", f"{name}, 16M, loss + gradient, to memcpy's traffic rate",
                  0.9 if bandwidth_bound else None, None, f.get("bench_kernels", label + ", rate to memcpy's"))


def sum_rows(f):
    def of(distribution, dtype):
        return f.get("bench_sum", f"sum, {distribution}, exact {dtype}")

    for dtype, name, reach in (("f32", "float32", 0.9), ("f64", "float64", 1.6)):
        copy = f.get("bench_sum", f"sum, like losses, memcpy {dtype}")
        yield Row("totals", f"exact total, {name}, losses as they are", reach, None, of("like losses", dtype), "ns", True,
                  f"memcpy {copy:.2g} ns" if copy else "")
    distributions = ("like losses", "cancelling", "any exponent", "outliers")
    yield Row("totals", "exact total, slowest of four distributions, both types", 2.5, None,
              extreme(of(d, dtype) for d in distributions for dtype in ("f32", "f64")), "ns", True)


def machine_rows(f):
    kernels = f.of.get("bench_kernels", {})
    for suffix, what, reach in ((", two threads to one", "two threads to one", 1.8),
                                (", two threads to one, busy neighbour", "two threads to one, a neighbour on one core", 0.8)):
        for label, value in kernels.items():
            if label.endswith(suffix):
                yield Row("machine", f"{label.removesuffix(suffix)}: {what}", reach, None, value)
    for dtype, order, what, reach in (("float32", "first", "dtype before the tensors", 1.1),
                                      ("float32", "last", "dtype float32 behind them", 2.1),
                                      ("float64", "last", "dtype float64 behind them", 2.1)):
        found = [value for label, value in f.of.get("bench_memory", {}).items() if label.endswith(f"{dtype} told {order}")]
        yield Row("machine", f"memory of a 100 MB call to its arrays, {what}", reach, None,
                  found[0] if found else None, lower=True)
    alone = f.get("bench_mixed", "small calls alone, p99")
    for what in ("losses", "gradients"):
        yield Row("machine", f"p99 of small calls beside 100 MB calls ({what})", 10, None,
                  f.get("bench_mixed", f"small calls beside 100 MB calls ({what}), p99"), "ms", True,
                  f"alone {alone:.3g} ms" if alone is not None else "")
    for what in ("4 MB of JSON", "50 losses of 4 MB", "50 losses of 100 KB"):
        refused = f.get("bench_overload", f"{what}: refusals to an answer")
        yield Row("machine", f"answers of {what} at ten times the peak rate, to the peak", 0.9, None,
                  f.get("bench_overload", f"{what}: goodput to peak"),
                  detail=f"{refused:.3g} refusals an answer" if refused is not None else "")
        yield Row("machine", f"p99 of refusals meanwhile, {what}", 5, None, f.get("bench_overload", f"{what}: a refusal, p99"), "ms", True)


def registry_rows(f):
    for connections in (1, 16, 64):
        adds = f.get("bench_registry", f"durable adds, {connections} connections")
        single = f.get("bench_registry", f"sqlite3, a transaction an add, beside {connections} connections")
        together = f.get("bench_registry", f"sqlite3, {connections} adds a transaction")
        yield Row("registry", f"durable adds, {connections} connection{'s' * (connections > 1)}, to sqlite3's one transaction an add",
                  20 if connections == 64 else None, None, f.ratio(adds, single),
                  detail=f"lossd {adds:,.0f}/s, sqlite3 {single:,.0f}/s" if adds and single else "")
        if connections > 1:
            yield Row("registry", f"durable adds, {connections} connections, to sqlite3's {connections} adds a transaction",
                      None, None, f.ratio(adds, together), detail=f"sqlite3 {together:,.0f}/s" if together else "")
    yield Row("registry", "a small loss with a registry, 64 connections: time to that without", 2, None,
              f.ratio(f.get("bench_registry", "small losses, 64 connections"),
                      f.get("bench_registry", "small losses with a registry, 64 connections")), lower=True,
              detail=rates(f, "bench_registry", {"without": "small losses, 64 connections",
                                                 "with": "small losses with a registry, 64 connections"}))


def redis_rows(f):
    for sync in ("always", "everysec"):
        for connections in (1, 16, 64):
            which = f"{connections} connections, appendfsync {sync}"
            adds, merges = f.get("bench_redis", f"adds in Redis, {which}"), f.get("bench_redis", f"batches computed and merged in Redis, {which}")
            for peer in ("the script that adds", "RPUSH"):
                rate = f.get("bench_redis", f"redis-benchmark, {peer}, {which}")
                yield Row("redis", f"adds, {which}, to redis-benchmark's {peer}", None, None, f.ratio(adds, rate),
                          detail=f"lossd {adds:,.0f}/s (merging {merges:,.0f}/s), redis-benchmark {rate:,.0f}/s"
                          if adds and merges and rate else "")


def loss_rows(f):
    """Each loss beside the faster of the libraries that have it, else beside memcpy."""
    for label, value in f.of.get("bench_losses", {}).items():
        rate = f.get("bench_losses", label + ", rate to memcpy's")
        if rate is None:
            continue
        known = {peer: f.get(f"losses_{peer}", label) for peer in LOSS_PEERS}
        known = {peer: took for peer, took in known.items() if took is not None}
        detail = ", ".join(f"{name} {took:.3g}" for name, took in {"lossd": value, **known}.items()) + " ns a number"
        if known:
            reach = None if label.split(",")[0] in PRODUCTS else 1
            yield Row("losses", f"{label}, to the better of torch and optax", reach, None, min(known.values()) / value,
                      detail=f"{detail}; {rate:.2g} of memcpy's rate")
        else:
            yield Row("losses", f"{label}, to memcpy's traffic rate", None, None, rate, detail=detail)


PARTS = (small_rows, number_rows, softmax_rows, elementwise_rows, sum_rows, machine_rows, registry_rows, redis_rows, loss_rows)
GROUPS = {
    "requests": "Whole requests over HTTP", "numbers": "JSON numbers, the server's CPU time",
    "softmax": "Softmax cross entropy, float32", "elementwise": "Element-wise losses, 16 million float32",
    "totals": "Exact totals", "machine": "Cores, memory, neighbours", "registry": "The registry on disk",
    "redis": "The registry in Redis", "losses": "Every loss, float32",
}


def rows(report):
    figures = Figures(report)
    return [row for part in PARTS for row in part(figures)]


def cells(row):
    return (row.what, row.bound(row.reach), row.bound(row.aim), row.number(row.measured), row.verdict, row.detail)


HEADINGS = ("what", "reach", "aim", "measured", "verdict", "of which")


def as_text(table):
    lines = []
    for group, title in GROUPS.items():
        block = [cells(row) for row in table if row.group == group]
        if not block:
            continue
        widths = [max(len(line[i]) for line in [HEADINGS, *block]) for i in range(len(HEADINGS))]
        lines += ["", title, "  ".join(h.ljust(w) for h, w in zip(HEADINGS, widths)).rstrip()]
        lines += ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in block]
    return "\n".join(lines[1:]) + "\n"


def as_markdown(table):
    lines = []
    for group, title in GROUPS.items():
        block = [cells(row) for row in table if row.group == group]
        if block:
            lines += [f"## {title}", "", f"![{title}]({group}.svg)", "", "| " + " | ".join(HEADINGS) + " |",
                      "|" + " --- |" * len(HEADINGS)]
            lines += ["| " + " | ".join(line) + " |" for line in block] + [""]
    return "\n".join(lines)


def as_json(table):
    return [{"group": row.group, "what": row.what, "reach": row.reach, "aim": row.aim, "measured": row.measured,
             "unit": row.unit, "lower_is_better": row.lower, "verdict": row.verdict, "of_which": row.detail}
            for row in table]
