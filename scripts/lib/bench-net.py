# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench net came to: tables, JSON, and a generated part of docs/performance.md.

usage: bench-net.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/net-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import sys

from bench_common import Metric, comparison, finish, host_text, parse_arguments, read_runs, spread, table

BEGIN = "<!-- scripts/bench net --docs writes from here -->"

# The most CPU time for a byte that dom1 may take of QEMU's.
CASES = [
    ("tap", "up", "tap: guest to host", 1 / 5),
    ("tap", "down", "tap: host to guest", 1 / 5),
    ("user", "up", "user: guest to host", 1 / 2),
    ("user", "down", "user: host to guest", 1 / 2),
]
GIB = 1 << 30


def cpu_s_per_gib(run):
    return run["cpu_ns"] / 1e9 / (run["bytes"] / GIB)


def vmm_s_per_gib(run):
    return max(run["cpu_ns"] - run["guest_ns"], 1e6) / 1e9 / (run["bytes"] / GIB)


def s_per_gib(runs, key):
    return [run[key] / 1e9 / (run["bytes"] / GIB) for run in runs]


# What nobody can spare, by the names of tests/bench/net-floor.c.
FLOORS = [
    ("tap", "tap: host to guest", [("tap", "out of the tap"), ("copy", "to the guest's program")]),
    ("relay", "user: host to guest", [("in", "out of the connection's socket"), ("sum", "the checksum"),
                                      ("out", "into the VMM's socket"), ("vmm", "out of that"),
                                      ("copy", "to the guest's program")]),
]


def floor_table(folder):
    rows = []
    for name, title, passes in FLOORS:
        runs = read_runs(folder, f"floor.{name}")
        each = [s_per_gib(runs, f"{key}_ns") for key, _ in passes]
        rows += [[f"{title}: {what}", spread(values, 2)] for (_, what), values in zip(passes, each)]
        rows.append([f"{title}: all of these", spread([sum(values) for values in zip(*each)], 2)])
    for direction, title in (("up", "user: guest to host"), ("down", "user: host to guest")):
        rows.append([f"{title}: passt", spread(s_per_gib(read_runs(folder, f"dom1.user.{direction}"), "passt_ns"), 2)])
    return table(["", "CPU s/GiB"], rows)


def metrics_of(folder):
    metrics = []
    for net, direction, title, goal in CASES:
        dom1, qemu = (read_runs(folder, f"{vmm}.{net}.{direction}") for vmm in ("dom1", "qemu"))
        name = f"{net}_{direction}"
        metrics.append(Metric("net", name, title, "CPU s/GiB", [cpu_s_per_gib(run) for run in dom1],
                              [cpu_s_per_gib(run) for run in qemu], ratio_goal=goal, digits=2))
        metrics.append(Metric("net-vmm", name, title, "CPU s/GiB", [vmm_s_per_gib(run) for run in dom1],
                              [vmm_s_per_gib(run) for run in qemu], digits=2))
        metrics.append(Metric("net-bytes", name, title, "MiB", [run["bytes"] / (1 << 20) for run in dom1],
                              [run["bytes"] / (1 << 20) for run in qemu]))
    return metrics


def conditions(folder, metrics):
    text, host = host_text(folder)
    return (f"{text} `xen-net-device`. PV guests in the shim with one vCPU and {host['guest_memory']}, "
            f"one iperf3 stream, MTU 1500 on the tap. {len(metrics[0].dom1)} runs of {host['seconds']} s in turn.")


def report(folder, metrics):
    return "\n\n".join([
        conditions(folder, metrics),
        "### CPU time of the VMM, its guest and its helpers for a GiB",
        comparison(metrics, "net"),
        "### The same without the time in the guest",
        comparison(metrics, "net-vmm"),
        "### What nobody can spare, and what passt takes",
        floor_table(folder),
        "### What came through in a run",
        comparison(metrics, "net-bytes"),
    ])


def main():
    arguments = parse_arguments()
    metrics = metrics_of(arguments.folder)
    return finish(metrics, report(arguments.folder, metrics), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
