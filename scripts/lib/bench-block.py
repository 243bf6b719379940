# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench block came to: tables, JSON, and a generated part of docs/performance.md.

usage: bench-block.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/block-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import statistics
import sys

from bench_common import Metric, comparison, finish, host_text, parse_arguments, read_numbers, read_runs, spread, table

BEGIN = "<!-- scripts/bench block --docs writes from here -->"
# QEMU's ways to do asynchronous I/O.
PEERS = ("native", "io_uring")
# The most CPU time for a read that dom1 may take of QEMU's; none: it is shown.
LOADS = {
    "random4k": ("4 KiB, random, 32 in flight", 1 / 1.5),
    "sequential128k": ("128 KiB, sequential, 8 in flight", 1 / 2.5),
    "latency4k": ("4 KiB, random, one at a time", None),
}
# Of the host's kernel alone: what it reads, and how the pages of a buffer lie.
FLOORS = (("random4k", "apart", "4 KiB, random"), ("sequential128k", "apart", "128 KiB, into pages that lie apart"),
          ("sequential128k", "whole", "128 KiB, into pages side by side"))
# "No worse": what two runs of the same may differ by.
LATENCY_GOAL = 1.05
EVENTS_GOAL = 0.2
DISK_GOAL_KIB = 256


def cpu_us(run):
    return run["cpu_ns"] / 1000 / run["operations"]


def best_peer(folder, load):
    """The way of QEMU's that takes less CPU time, and its runs."""
    peers = {way: read_runs(folder, f"{way}.{load}") for way in PEERS}
    way = min(PEERS, key=lambda way: statistics.median(map(cpu_us, peers[way])))
    return way, peers[way]


def metrics_of(folder):
    metrics, peers = [], {}
    for load, (title, goal) in LOADS.items():
        dom1 = read_runs(folder, f"dom1.{load}")
        peers[load], qemu = best_peer(folder, load)

        def add(bench, name, title, unit, of, dom1=dom1, peer=qemu, **more):
            metrics.append(Metric(bench, name, title, unit, list(map(of, dom1)), list(map(of, peer)), **more))

        add("block", f"{load}_cpu", title, "CPU us", cpu_us, ratio_goal=goal, digits=1)
        add("block-time", f"{load}_time", title, "us", lambda run: run["took_ns"] / 1000 / run["operations"], digits=1)
        add("block-events", f"{load}_events", title, "events", lambda run: run["events"] / run["operations"], digits=2,
            dom1_goal=EVENTS_GOAL if load == "random4k" else None)
        if load == "latency4k":
            add("block-latency", "latency", "median of a 4 KiB read", "us", lambda run: run["latency_ns"] / 1000,
                ratio_goal=LATENCY_GOAL, digits=1)
    metrics.append(Metric("block-memory", "disk", "each more disk, after reads with 32 in flight", "KiB",
                          [read_numbers(folder / "memory")["disk_kib"]], [], dom1_goal=DISK_GOAL_KIB))
    return metrics, peers


def floor_table(folder):
    return table(["", "CPU us"], [[title, spread(list(map(cpu_us, read_runs(folder, f"floor-{pages}.{load}"))), 1)]
                                  for load, pages, title in FLOORS])


def report(folder, metrics, peers):
    text, host = host_text(folder)
    best = ", ".join(f"{LOADS[load][0]}: `aio={name}`" for load, name in peers.items())
    return "\n\n".join([
        f"{text} `xen-disk` with an I/O thread, and of `aio=native` and `aio=io_uring` the one that takes less ({best}). "
        f"PV guests in the shim with one vCPU and {host['guest_memory']}. A transfer takes {host['disk_us']} us, and "
        f"{host['fast_us']} us where one is in flight. {len(metrics[0].dom1)} runs of {host['seconds']} s in turn.",
        "### CPU time for a read: guest, VMM and the host's kernel", comparison(metrics, "block"),
        "### What the host's kernel takes for such a read, by itself", floor_table(folder),
        "### Time for a read", comparison(metrics, "block-time"),
        "### Latency, as the guest's program sees it", comparison(metrics, "block-latency"),
        "### Events to the guest for a read", comparison(metrics, "block-events"),
        "### Memory", comparison(metrics, "block-memory"),
    ])


def main():
    arguments = parse_arguments()
    metrics, peers = metrics_of(arguments.folder)
    return finish(metrics, report(arguments.folder, metrics, peers), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
