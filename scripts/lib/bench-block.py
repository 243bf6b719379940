# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench block came to: tables, JSON, and a generated part of docs/performance.md.

usage: bench-block.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/block-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import statistics
import sys

from bench_common import Metric, comparison, finish, host_text, parse_arguments, read_numbers, read_runs

BEGIN = "<!-- scripts/bench block --docs writes from here -->"
PEERS = ("native", "io_uring")
# The most CPU time for a read that dom1 may take of QEMU's; none: it is shown.
LOADS = {
    "random4k": ("4 KiB, random, 32 in flight", 1 / 1.5),
    "sequential128k": ("128 KiB, sequential, 8 in flight", 1 / 2.5),
    "latency4k": ("4 KiB, random, one at a time", None),
    "queue4k": ("4 KiB, random, 32 in flight at a slow disk", None),
}
# "No worse": what two runs of the same may differ by.
LATENCY_GOAL = 1.05
EVENTS_GOAL = 0.2
DISK_GOAL_KIB = 256


def us_of(key, less=None):
    return lambda run: max(run[key] - (run[less] if less else 0), 0) / 1000 / run["operations"]


cpu_us, vmm_us = us_of("cpu_ns"), us_of("cpu_ns", less="guest_ns")


def best_peer(folder, load):
    """The way of QEMU's that takes less CPU time, and the runs of dom1 and QEMU in turn with it."""
    peers = {way: read_runs(folder, f"qemu-{way}.{load}") for way in PEERS}
    way = min(PEERS, key=lambda way: statistics.median(map(vmm_us, peers[way])))
    return way, read_runs(folder, f"dom1-{way}.{load}"), peers[way]


def metrics_of(folder):
    metrics, peers = [], {}
    for load, (title, goal) in LOADS.items():
        peers[load], dom1, qemu = best_peer(folder, load)

        def add(bench, name, title, unit, of, peer=qemu, dom1=dom1, **more):
            metrics.append(Metric(bench, name, title, unit, list(map(of, dom1)), list(map(of, peer)), **more))

        add("block", f"{load}_vmm", title, "CPU us", vmm_us, ratio_goal=goal, digits=1)
        add("block-all", f"{load}_cpu", title, "CPU us", cpu_us, digits=1)
        add("block-time", f"{load}_time", title, "us", us_of("took_ns"), digits=1)
        add("block-events", f"{load}_events", title, "events", lambda run: run["events"] / run["operations"], digits=2,
            dom1_goal=EVENTS_GOAL if load == "queue4k" else None)
        if load == "latency4k":
            add("block-latency", "latency", "median of a 4 KiB read", "us", lambda run: run["latency_ns"] / 1000,
                ratio_goal=LATENCY_GOAL, digits=1)
    metrics.append(Metric("block-memory", "disk", "each more disk, after reads with 32 in flight", "KiB",
                          [read_numbers(folder / "memory")["disk_kib"]], [], dom1_goal=DISK_GOAL_KIB))
    return metrics, peers


def report(folder, metrics, peers):
    text, host = host_text(folder)
    best = ", ".join(f"{LOADS[load][0]}: `aio={name}`" for load, name in peers.items())
    return "\n\n".join([
        f"{text} `xen-disk` with an I/O thread, and of `aio=native` and `aio=io_uring` the better ({best}). PV guests in the "
        f"shim with one vCPU and {host['guest_memory']}. A transfer of the host's disk takes {host['fast_us']} us, of the slow one {host['slow_us']} us. "
        f"{len(metrics[0].dom1)} runs of {host['seconds']} s in turn.",
        "### CPU time for a read, without the time in the guest", comparison(metrics, "block"),
        "### CPU time for a read with the guest's", comparison(metrics, "block-all"),
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
