# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench lend came to: a table and JSON.

usage: bench-lend.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/lend-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import sys

from bench_common import Metric, finish, host_text, parse_arguments, read_runs, table

BEGIN = "<!-- scripts/bench lend --docs writes from here -->"
KINDS = ["memfd", "guest_memfd"]
LOADS = [("idle", "idle"), ("busy", "the other vCPU reads")]
SIZES = [1, 64, 4096]
MEDIAN, HIGH = 0, 1


def read_run(path):
    return {name: [float(value) for value in values] for name, *values in
            (line.split() for line in path.read_text().splitlines())}


def cause_of(slowest):
    """Of the slowest one of all runs: each is its time, what of it the kernel's calls took, and its pages."""
    took, in_kernel, n_pages = max(slowest)[:3]
    share = round(100 * in_kernel / took)
    if share >= 50:
        return f"{n_pages:.0f} pages, {share} % of the time in the kernel's calls for them"
    return f"{n_pages:.0f} pages, {100 - share} % of the time outside the kernel's calls, for a turn of the memory thread"


def metrics_of(folder):
    metrics = []
    for kind in KINDS:
        runs = read_runs(folder, kind, read_run)

        def add(name, title, which, of, beside, goal):
            metrics.append(Metric("lend", f"{kind}_{name}", f"{kind}, {title}", "us", [run[of][which] for run in runs],
                                  [run[beside][which] for run in runs] if beside else [], ratio_goal=goal, digits=1))

        for load, load_title in LOADS:
            for size in SIZES:
                case = f"{size}_{load}"
                if f"lend_{case}" not in runs[0]:
                    continue
                for which, word in ((MEDIAN, "median"), (HIGH, "p99.9")):
                    add(f"revoke_{case}_{word}", f"revoke of {size}, {load_title}, {word}: the memory thread, and the bare calls",
                        which, f"revoke_in_thread_{case}", f"revoke_bare_calls_{case}", 1.5)
                add(f"revoke_lender_{case}", f"revoke of {size}, {load_title}, median: as the lender sees it, and the bare calls",
                    MEDIAN, f"revoke_by_lender_{case}", f"revoke_bare_calls_{case}", None)
                add(f"lend_{case}", f"lending {size}, {load_title}, median", MEDIAN, f"lend_{case}", None, None)
            for which, word in ((MEDIAN, "median"), (HIGH, "p99.9")):
                add(f"fault_{load}_{word}", f"fault to resume, {load_title}, {word}: another process, and a userfaultfd in one",
                    which, f"fault_{load}", f"userfault_{load}", 3 if which == MEDIAN else None)
            if f"exchange_{load}" in runs[0]:
                add(f"fault_{load}_floor", f"fault to resume, {load_title}, median: and the messages and calls that it cannot do without",
                    MEDIAN, f"fault_{load}", f"exchange_{load}", None)
                add(f"exchange_{load}", f"those, {load_title}, median, and a userfaultfd", MEDIAN, f"exchange_{load}",
                    f"userfault_{load}", None)
        add("slowest_revoke", f"the slowest revoke of all: {cause_of([run['slowest_revoke'] for run in runs])}", MEDIAN,
            "slowest_revoke", None, None)
    return metrics


def report(folder, metrics):
    text, _ = host_text(folder, peer=False)
    return (f"{text}\n\n" +
            table(["", "unit", "dom1", "beside it", "ratio", "goal"], [metric.row() for metric in metrics]))


def main():
    arguments = parse_arguments()
    metrics = metrics_of(arguments.folder)
    return finish(metrics, report(arguments.folder, metrics), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
