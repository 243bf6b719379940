# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench hypercall came to: tables, JSON, and a generated part of docs/performance.md.

usage: bench-hypercall.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/hypercall-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import sys

from bench_common import Metric, comparison, finish, host_text, parse_arguments, read_runs

BEGIN = "<!-- scripts/bench hypercall --docs writes from here -->"

# The most that dom1 may take of QEMU's: where user space does the work, and where KVM does, with room for noise.
USER_GOAL = 2 / 3
KERNEL_GOAL = 1.1
# There and back, with a back end in between.
EVENT_GOAL = 0.5
# As tests/bench/hypercall/main.c names them.
CASES = [
    ("unknown_call", "hypercall that does nothing: an unknown number", USER_GOAL),
    ("get_features", "`XENVER_get_features`", USER_GOAL),
    ("get_param", "`HVMOP_get_param`", USER_GOAL),
    ("event_back", "event to the xenstore with one byte, and back", EVENT_GOAL),
    ("console_back", "character to the console, and the event back", EVENT_GOAL),
    ("xenstore_read", "xenstore: read", USER_GOAL),
    ("xenstore_transaction", "xenstore: transaction of start, write and commit", USER_GOAL),
    ("kernel_call", "in the kernel: `XENVER_version`", KERNEL_GOAL),
    ("ipi_to_self", "in the kernel: IPI to itself", KERNEL_GOAL),
    ("ipi_and_back", "in the kernel: IPI to another vCPU, and back", KERNEL_GOAL),
    ("timer_set", "in the kernel: set a timer", KERNEL_GOAL),
    ("timer_fires", "in the kernel: set a timer, and how late it fires", KERNEL_GOAL),
]
# Those that are one call of user space and no more: what is left of them without the floor is the VMM's own work.
CALLS = ("unknown_call", "get_features", "get_param")


def read_run(path):
    """{name: (median, min)} of what the hypervisor has, in us."""
    run = {}
    for line in path.read_text().splitlines():
        _, name, median, smallest, *_ = line.split()
        if median != "none":
            run[name] = (int(median) / 1000, int(smallest) / 1000)
    return run


def metrics_of(folder):
    dom1, qemu = read_runs(folder, "dom1", read_run), read_runs(folder, "qemu", read_run)

    def values(runs, name, which):
        return [run[name][which] for run in runs] if all(name in run for run in runs) else []
    metrics = [Metric("hypercall", name, title, "us", values(dom1, name, 0), values(qemu, name, 0), ratio_goal=goal,
                      digits=1) for name, title, goal in CASES]
    metrics += [Metric("hypercall-best", name, title, "us", values(dom1, name, 1), values(qemu, name, 1), digits=1)
                for name, title, _ in CASES]
    floors = read_runs(folder, "floor", read_run)
    floor, wake = (min(run[name][1] for run in floors) for name in ("floor", "floor_wake"))

    def own(runs, name):
        # The fastest of all, for differences of single runs are mostly noise. It may make them less than nothing.
        return [max(min(values(runs, name, 1)) - floor, 0.1)]
    metrics += [Metric("hypercall-own", name, title, "us", own(dom1, name), own(qemu, name), digits=1)
                for name, title, _ in CASES if name in CALLS and values(dom1, name, 1) and values(qemu, name, 1)]
    return metrics, floor, wake


def conditions(folder, metrics):
    text, host = host_text(folder)
    return (f"{text} Two vCPUs, {host['guest_memory']}. {len(metrics[0].dom1)} runs of each in turn; "
            f"runs that failed and were repeated: {host['failures']}.")


def report(folder, metrics, floor, wake):
    return "\n\n".join([
        conditions(folder, metrics),
        "### Median batch of each run",
        comparison(metrics, "hypercall"),
        "### Best batch of each run",
        comparison(metrics, "hypercall-best"),
        "### The VMM's own part of a call",
        f"The best batches of all runs, without the {floor:.1f} us of a call whose VMM only lets the guest go on.",
        comparison(metrics, "hypercall-own"),
        f"Two threads that wake each other by eventfds, and do nothing else, take {wake:.1f} us there and back.",
    ])


def main():
    arguments = parse_arguments()
    metrics, floor, wake = metrics_of(arguments.folder)
    return finish(metrics, report(arguments.folder, metrics, floor, wake), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
