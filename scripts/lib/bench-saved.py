# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench saved came to: a table, JSON, and a generated part of docs/performance.md.

usage: bench-saved.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/saved-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import sys

from bench_common import Metric, finish, host_text, parse_arguments, read_runs, table

BEGIN = "<!-- scripts/bench saved --docs writes from here -->"
START_GOAL = 1.5
SAVE_GOAL = 2


def metrics_of(folder, clones, stored_mib):
    start, restore = read_runs(folder, "start"), read_runs(folder, "restore")
    save, write = read_runs(folder, "save"), read_runs(folder, "write")
    one, many = read_runs(folder, "one"), read_runs(folder, "clones")

    def to_start(mib):
        name = f"memory_{mib}"
        return Metric("saved", name, f"exec to the first instruction, {mib} MiB: restored, and started", "ms",
                      [values[name] / 1e6 for values in restore], [values[name] / 1e6 for values in start],
                      ratio_goal=START_GOAL, digits=1)
    return [
        to_start(64), to_start(512),
        Metric("saved", "save", f"a save with {stored_mib} MiB that are not zeros, and writing as much", "ms",
               [values["save"] / 1e6 for values in save], [values["save"] / 1e6 for values in write],
               ratio_goal=SAVE_GOAL, digits=0),
        Metric("saved", "clones", f"{clones} clones of a Linux, and {clones} times one", "MiB",
               [values["taken"] / 1024 for values in many], [clones * values["taken"] / 1024 for values in one]),
    ]


def report(folder, metrics):
    text, _ = host_text(folder, peer=False)
    return (f"{text} {len(metrics[0].dom1)} runs by turns.\n\n" +
            table(["", "unit", "saved domain", "beside it", "ratio", "goal"], [metric.row() for metric in metrics]))


def main():
    arguments = parse_arguments()
    _, host = host_text(arguments.folder, peer=False)
    metrics = metrics_of(arguments.folder, int(host["clones"]), int(host["stored_mib"]))
    return finish(metrics, report(arguments.folder, metrics), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
