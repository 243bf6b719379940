# SPDX-License-Identifier: MIT
"""What the reports of scripts/bench have in common: metrics, tables, JSON, goals, the generated parts of a page."""

import argparse
import json
import pathlib
import statistics
import sys

END = "<!-- to here -->"


def spread(values, digits):
    """The median, and the smallest and largest where these differ."""
    text = f"{statistics.median(values):.{digits}f}"
    if min(values) != max(values):
        text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return text


class Metric:
    """One line of the comparison. Ratios are taken run by run: what was measured in turn saw the same busy host.

    No values: it does not have what was to be measured. Without the peer's there is nothing to reach.
    """

    def __init__(self, bench, name, title, unit, dom1, peer, *, ratio_goal=None, dom1_goal=None, digits=0):
        self.bench, self.name, self.title, self.unit = bench, name, title, unit
        self.dom1, self.peer, self.digits = dom1, peer, digits
        self.ratios = [a / b for a, b in zip(dom1, peer)] if all(peer) else []
        self.ratio_goal, self.dom1_goal = ratio_goal if peer else None, dom1_goal

    def ratio(self):
        return statistics.median(self.ratios) if self.ratios else None

    def is_reached(self):
        if self.ratio_goal is not None:
            return self.ratio() is not None and self.ratio() <= self.ratio_goal
        if self.dom1_goal is not None:
            return statistics.median(self.dom1) <= self.dom1_goal
        return None

    @staticmethod
    def rounded(of, values):
        return round(of(values), 3) if values else None

    def as_json(self):
        ratio = self.ratio()
        entry = {
            "bench": self.bench, "metric": self.name, "unit": self.unit,
            "dom1": self.rounded(statistics.median, self.dom1), "peer": self.rounded(statistics.median, self.peer),
            "ratio": None if ratio is None else round(ratio, 4), "n": len(self.dom1),
            "dom1_min": self.rounded(min, self.dom1), "dom1_max": self.rounded(max, self.dom1),
            "peer_min": self.rounded(min, self.peer), "peer_max": self.rounded(max, self.peer),
        }
        if self.ratios:
            entry["ratio_min"], entry["ratio_max"] = round(min(self.ratios), 4), round(max(self.ratios), 4)
        if self.is_reached() is not None:
            entry["goal"] = round(self.ratio_goal if self.ratio_goal is not None else self.dom1_goal, 4)
            entry["reached"] = self.is_reached()
        return entry

    def goal_text(self):
        if self.is_reached() is None:
            return ""
        word = "reached" if self.is_reached() else "**not reached**"
        if self.ratio_goal is not None:
            return f"{self.ratio_goal:.2f}: {word}"
        return f"{self.dom1_goal} {self.unit}: {word}"

    def row(self):
        own, peer = (spread(values, self.digits) if values else "not there" for values in (self.dom1, self.peer))
        ratio = spread(self.ratios, 2) if self.ratios else ""
        return [self.title, self.unit, own, peer, ratio, self.goal_text()]


def read_numbers(path):
    """Lines "NAME NUMBER"."""
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}


def read_runs(folder, name, read=read_numbers, suffix=""):
    """What is in FOLDER/NAME.1SUFFIX, NAME.2SUFFIX and so on."""
    runs = []
    while (path := folder / f"{name}.{len(runs) + 1}{suffix}").exists():
        runs.append(read(path))
    if not runs:
        sys.exit(f"bench: there are no runs of {name} in {folder}")
    return runs


def host_text(folder, *, peer=True):
    """A sentence on the host, and with a peer one on QEMU; and all that tests/bench/lib.sh and its caller wrote of it."""
    host = dict(line.split(" ", 1) for line in (folder / "host").read_text().splitlines())
    where = "in the lab, a machine that QEMU emulates in software" if (folder / "lab").exists() else "not in the lab"
    text = f"Host: Linux {host['kernel']}, {host['cpus']} CPUs ({host['cpu']}), {where}."
    return (f"{text} QEMU {host['qemu']}, `-M {host['machine']}`." if peer else text), host


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def comparison(metrics, bench):
    return table(["", "unit", "dom1", "QEMU", "dom1 / QEMU", "goal"],
                 [metric.row()[:6] for metric in metrics if metric.bench == bench])


def renew(path, begin, text):
    """Writes the part of the page between this mark and the next end."""
    old = path.read_text()
    start = old.index(begin) + len(begin)
    path.write_text(f"{old[:start]}\n\n{text}\n\n{old[old.index(END, start):]}")


def parse_arguments():
    """FOLDER [--json FILE] [--docs FILE], as every report has them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--docs", type=pathlib.Path)
    return parser.parse_args()


def finish(metrics, text, arguments, begin):
    """Hands out what was found; the status is 1 when a goal was not reached."""
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps([metric.as_json() for metric in metrics], indent=1) + "\n")
    if arguments.docs:
        renew(arguments.docs, begin, text)
    missed = [metric for metric in metrics if metric.is_reached() is False]
    goals = sum(metric.is_reached() is not None for metric in metrics)
    print(f"\n{goals - len(missed)} of {goals} goals reached")
    for metric in missed:
        print(f"not reached: {metric.title}")
    return 1 if missed else 0
