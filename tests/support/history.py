# SPDX-License-Identifier: Apache-2.0
"""Histories of a registry: what many clients asked at the same time and were answered, and whether one registry could have
said all that.

Every loss that is added is a number of its own, so it can be told wherever it appears. A call lasts from its start to its end,
and must look as if it happened at one moment in between: what ended before another began came first.
"""

import json
import math
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from wire import Wire, head, post

REGISTRY = "/v1/registries/history"
STEPS = 3
WHOLES = ("whole", "other")  # entries that accumulate; both are there before the clients begin
SWEPT = "d/"  # names that deletes take


class Broken(AssertionError):
    """No registry could have answered so."""


@dataclass
class Call:
    kind: str  # add, merge, clash, sweep, list, total, entry
    start: float = 0
    end: float = 0
    status: int = 0
    answer: dict = field(default_factory=dict)
    value: int = 0
    name: str = ""
    step: int = 0
    key: str = ""

    def before(self, other):
        return self.end < other.start

    def taken(self):
        return self.status in (200, 201)


class Client(threading.Thread):
    """Asks at random, and records. `shared` are keyed calls that other clients repeat, or contradict."""

    def __init__(self, number, urls, calls, shared, seed):
        super().__init__()
        self.rng = random.Random(f"{seed}.{number}")
        self.wires = [Wire(url, timeout=60) for url in urls]
        self.number, self.calls, self.shared = number, calls, shared
        self.history, self.problem = [], None

    def run(self):
        try:
            for i in range(self.calls):
                self.act(self.number * 1_000_000 + i + 1)
        except Exception as problem:  # the test reports it: a thread's own traceback would be lost
            self.problem = problem
        finally:
            for wire in self.wires:
                wire.close()

    def act(self, value):
        kind = self.rng.choices(("add", "merge", "clash", "sweep", "repeat", "contradict", "list", "total", "entry"),
                                (30, 20, 3, 4, 10, 4, 10, 6, 8))[0]
        if kind in ("repeat", "contradict") and self.shared:
            call = self.rng.choice(self.shared)
            self.send(Call(call.kind, value=call.value if kind == "repeat" else value, name=call.name, step=call.step, key=call.key))
        elif kind in ("add", "repeat", "contradict"):
            name = self.rng.choice(("x", "x", f"own/{value}", f"{SWEPT}{self.rng.randrange(3)}"))
            self.send_keyed(Call("add", value=value, name=name, step=self.rng.randrange(STEPS)))
        elif kind in ("merge", "clash"):
            self.send_keyed(Call(kind, value=value, name=self.rng.choice(WHOLES)))
        else:
            self.send(Call(kind, name=self.rng.choice(WHOLES), step=self.rng.randrange(STEPS)))

    def send_keyed(self, call):
        """With a key more often than not; that of some is shown to the others before it is sent, so that theirs may be first."""
        if call.kind != "clash" and self.rng.random() < 0.6:
            call.key = f"k{call.value}"
            if self.rng.random() < 0.5:
                self.shared.append(call)
        self.send(call)

    def send(self, call):
        call = Call(call.kind, value=call.value, name=call.name, step=call.step, key=call.key)
        wire, data = self.rng.choice(self.wires), request(call)
        call.start = time.monotonic()
        answer = wire.ask(data, data.split(b" ", 1)[0].decode())
        call.end = time.monotonic()
        call.status = answer.status
        call.answer = answer.document() if answer.body else {}
        self.history.append(call)


def request(call):
    fields = [f"Idempotency-Key: {call.key}"] if call.key else []
    if call.kind == "add":
        return post(f"{REGISTRY}/losses", json.dumps({"loss": call.value, "name": call.name, "step": call.step}).encode(), *fields)
    if call.kind in ("merge", "clash"):
        body = {"labels": [0], "predictions": [call.value], "registry": "history", "name": call.name, "step": STEPS, "accumulate": True,
                "dtype": "float64", "reduction": "sum" if call.kind == "merge" else "mean", "losses": False}
        return post("/v1/losses/absolute_difference", json.dumps(body).encode(), *fields)
    target = {"sweep": f"?scope={SWEPT}", "list": f"/losses?step={call.step}", "total": f"/total_loss?step={call.step}",
              "entry": f"/losses/{call.name}?step={STEPS}"}[call.kind]
    return head("DELETE" if call.kind == "sweep" else "GET", REGISTRY + target)


def record(urls, clients, calls, seed):
    """(history, seeds): what so many clients did, each so many calls, behind the first batches of the wholes."""
    shared, first = [], Client(0, urls, 0, [], seed)
    for value, name in enumerate(WHOLES, 1):
        first.send(Call("merge", value=value, name=name))
    for step in range(STEPS):
        first.send(Call("add", value=10 + step, name="first", step=step))
    threads = [Client(n + 1, urls, calls, shared, seed) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        if thread.problem is not None:
            raise thread.problem
    last = Client(clients + 1, urls, 0, [], seed)
    for step in range(STEPS):
        last.send(Call("list", step=step))
        last.send(Call("total", step=step))
    for name in WHOLES:
        last.send(Call("entry", name=name))
    history = first.history + [call for thread in threads for call in thread.history] + last.history
    for wire in first.wires + last.wires:
        wire.close()
    return history


# --- checking ---


def must(truth, what, *calls):
    if not truth:
        raise Broken(f"{what}: " + "; ".join(map(str, calls)))


def check(history):
    """Raises Broken. Returns how many calls of each kind there were."""
    effects = check_keys(history)
    merges, adds = defaultdict(list), defaultdict(list)
    for call in effects:
        if call.kind == "merge":
            merges[call.name].append(call)
        elif call.kind == "add":
            adds[call.step].append(call)
    for name in WHOLES:
        check_whole(merges[name], [c for c in history if c.kind == "entry" and c.name == name])
    sweeps = [c for c in history if c.kind == "sweep"]
    for step in range(STEPS):
        lists = [c for c in history if c.kind == "list" and c.step == step]
        check_step(adds[step], sweeps, lists)
        totals = [c for c in history if c.kind == "total" and c.step == step]
        check_totals(adds[step], sweeps, totals)
        check_end(final_list(history, step), max(totals, key=lambda c: c.start))
    left = sum(1 for step in range(STEPS) for e in final_list(history, step) if e["name"].startswith(SWEPT))
    swept = sum(c.answer["removed"] for c in sweeps)
    asked = sum(1 for c in effects if c.kind == "add" and c.name.startswith(SWEPT))
    must(swept + left == asked, f"of {asked} entries {swept} were removed and {left} are left")
    counts = defaultdict(int)
    for call in history:
        counts[call.kind] += 1
    return dict(counts)


def final_list(history, step):
    return max((c for c in history if c.kind == "list" and c.step == step), key=lambda c: c.start).answer["losses"]


def check_keys(history):
    """Answers by themselves, and calls of one key together. Returns what changed something, each once: of several calls with
    one key and one body, one that lasts from the first's start to the first end, by which it has happened."""
    effects, groups = [], defaultdict(list)
    for call in history:
        if call.kind == "clash":
            must((call.status, call.answer.get("code")) == (409, "accumulate_conflict"), "another reduction was merged", call)
        elif call.kind in ("add", "merge"):
            groups[call.key or id(call)].append(call)
        else:
            must(call.status == 200, "refused", call)
    for calls in groups.values():
        taken = [c for c in calls if c.taken()]
        must(len(taken) > 0, "all were refused", *calls)
        must(all(c.answer == taken[0].answer and c.value == taken[0].value for c in taken), "one key, two answers", *taken)
        for call in calls:
            if not call.taken():
                must((call.status, call.answer["code"]) == (409, "idempotency_conflict"), "refused", call)
                must(call.value != taken[0].value, "a repeat was refused", call)
        effects.append(Call(taken[0].kind, min(c.start for c in taken), min(c.end for c in taken), taken[0].status, taken[0].answer,
                            taken[0].value, taken[0].name, taken[0].step))
        for c in calls:  # what happened under the key before a refusal of it ended
            if not c.taken():
                must(effects[-1].start <= c.end, "refused before there was another", c)
    return effects


def check_whole(merges, reads):
    """The answers of merges number the batches, so they are the order in which they happened: all can be computed."""
    order = sorted(merges, key=lambda c: c.answer["entry"]["batches"])
    must([c.answer["entry"]["batches"] for c in order] == list(range(1, len(order) + 1)), "batches were lost or doubled", *order[:3])
    sums, latest = [0], 0
    for call in order:
        sums.append(sums[-1] + call.value)
        must(call.answer["entry"]["totals"]["sum"] == sums[-1], f"should be {sums[-1]}", call)
        must(call.end >= latest, "was merged after what began later", call)
        latest = max(latest, call.start)
    for read in reads:
        batches = read.answer["batches"]
        must(read.answer["totals"]["sum"] == sums[batches] == read.answer["loss"], f"no state of {batches} batches", read)
        must(batches >= sum(1 for c in merges if c.before(read)), "lacks a batch", read)
        must(batches <= sum(1 for c in merges if not read.before(c)), "has a batch of the future", read)
    in_order(reads, lambda r: r.answer["batches"])


def in_order(reads, number):
    """What is read later is not less."""
    reads = sorted(reads, key=lambda r: r.start)
    for i, read in enumerate(reads):
        for other in reads[i + 1:]:
            must(not read.before(other) or number(read) <= number(other), "went back", read, other)


def bounds(adds, sweeps, read):
    """(must, may): the values that a reading must and may show."""
    surely, maybe = [], []
    for add in adds:
        if read.before(add):
            continue
        swept = add.name.startswith(SWEPT)
        if swept and any(add.before(s) and s.before(read) for s in sweeps):
            continue
        maybe.append(add)
        if add.before(read) and not (swept and any(not s.before(add) and not read.before(s) for s in sweeps)):
            surely.append(add)
    return surely, maybe


def check_step(adds, sweeps, lists):
    by_value = {float(add.value): add for add in adds}
    must(len(by_value) == len(adds), "a value twice")
    for read in lists:
        shown = read.answer["losses"]
        found = [e["loss"] for e in shown]
        must(len(set(found)) == len(found), "an entry twice", read)
        must(len({e["name"] for e in shown}) == len(found), "a name twice", read)
        must(set(found) <= set(by_value), "an entry that nobody added", read)
        for entry in shown:
            must(by_value[entry["loss"]].answer == entry, "another entry than was answered", entry)
        surely, maybe = bounds(adds, sweeps, read)
        must({float(a.value) for a in surely} <= set(found), "an entry is missing", read)
        must(set(found) <= {float(a.value) for a in maybe}, "an entry of the future, or that was removed", read)
        check_moment([by_value[v] for v in found], adds, read)
    kept = sorted(lists, key=lambda r: r.start)
    for read, later in zip(kept, kept[1:]):
        if read.before(later):
            gone = {e["loss"] for e in read.answer["losses"]} - {e["loss"] for e in later.answer["losses"]}
            must(all(by_value[v].name.startswith(SWEPT) for v in gone), "an entry went", read, later)


def check_moment(found, adds, read):
    """Entries stand in an order in which they can have been added; and who is seen was not added after one who is not."""
    latest = -math.inf
    for add in found:
        must(add.end >= latest, "stands behind what was added later", add, read)
        latest = max(latest, add.start)
    seen = {a.value for a in found}
    for add in adds:
        if add.value not in seen and not add.name.startswith(SWEPT):
            must(add.end >= latest, "is not seen, though what was added later is", add, read)


def check_end(shown, total):
    """What was read when all others had ended is one state."""
    told = (total.answer["count"], total.answer["total_loss"])
    must(told == (len(shown), sum(e["loss"] for e in shown)), "the total is not the list's", total)


def check_totals(adds, sweeps, totals):
    for read in totals:
        surely, maybe = bounds(adds, sweeps, read)
        must(len(surely) <= read.answer["count"] <= len(maybe), "a count that was never", read)
        must(sum(a.value for a in surely) <= read.answer["total_loss"] <= sum(a.value for a in maybe), "a total that was never", read)
