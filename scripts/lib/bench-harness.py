# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench harness came to: a table, JSON, and a generated part of docs/performance.md.

usage: bench-harness.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/harness-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import sys

from bench_common import Metric, finish, host_text, parse_arguments, read_runs, table

BEGIN = "<!-- scripts/bench harness --docs writes from here -->"
GOAL = 1.1


def metrics_of(folder, cpus):
    run, test = read_runs(folder, "run"), read_runs(folder, "test")
    alone, whole = read_runs(folder, "alone"), read_runs(folder, "set")

    def one(name, title):
        return Metric("harness", name, title, "ms", [values[name] / 1e6 for values in test],
                      [values[name] / 1e6 for values in run], ratio_goal=GOAL, digits=1)
    return [
        one("success", "a tiny guest that reports: `dom1 test`, and `dom1 run` alone"),
        one("crash", "one that crashes at once"),
        Metric("harness", "set", "the whole set, and the sum of its guests' own time over the CPUs", "ms",
               [values["set"] / 1e6 for values in whole], [values["alone"] / 1e6 / cpus for values in alone],
               ratio_goal=GOAL, digits=0),
    ]


def report(folder, metrics):
    text, host = host_text(folder, peer=False)
    return (f"{text} {len(metrics[0].dom1)} runs by turns; the set has {host['targets']} targets.\n\n" +
            table(["", "unit", "`dom1 test`", "`dom1 run`", "ratio", "goal"], [metric.row() for metric in metrics]))


def main():
    arguments = parse_arguments()
    _, host = host_text(arguments.folder, peer=False)
    metrics = metrics_of(arguments.folder, int(host["cpus"]))
    return finish(metrics, report(arguments.folder, metrics), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
