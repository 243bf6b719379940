# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench scale came to: tables, JSON, pictures, and a generated part of docs/performance.md.

usage: bench-scale.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/scale-runs.sh left it. Status 0: all goals were reached, 1: not all.
"""

import collections
import math
import statistics
import sys

import bench_pictures
from bench_common import Metric, comparison, finish, host_text, parse_arguments, read_runs, table

BEGIN = "<!-- scripts/bench scale --docs writes from here -->"
DOMAIN_GOAL_KIB = 3072
HOST_KIB = 16 << 20
# Nothing worse than linear, with room for steps such as a page more.
EXPONENT_GOAL = 1.15
# What has grown by less is lost in what the rest takes: of a run's time, and in the steps of the C library's heap.
SEEN = 0.02
SEEN_KIB = 256
SERIES = {"vcpus": "vCPUs", "disks": "disks", "ports": "event channel ports", "nodes": "xenstore nodes", "windows": "lend windows"}


def read_series(path):
    """{what: {n: (ms, KiB)}}."""
    series = collections.defaultdict(dict)
    for line in path.read_text().splitlines():
        what, n, took_ns, private_kib = line.split()
        series[what][int(n)] = (int(took_ns) / 1e6, int(private_kib))
    return series


def read_domains(path):
    """{n: (available, guests', private KiB, start ms)}."""
    rows = (tuple(map(int, line.split())) for line in path.read_text().splitlines())
    return {n: (available, guest, private, took_ns / 1e6) for n, available, guest, private, took_ns in rows if n > 0}


def taken(domains, n, *, with_guest):
    """KiB of the host's memory, up to what it had at the start."""
    available, guest, _, _ = domains[n]
    return -available - (0 if with_guest else guest)


def per_domain(domains, last, *, with_guest):
    """KiB for one more, up to the last: what is shared is there with the first."""
    return (taken(domains, last, with_guest=with_guest) - taken(domains, 1, with_guest=with_guest)) / (last - 1)


def exponent(points, seen):
    """Of what is added, from the last but one to the last; None: there is less than SEEN, or nothing to compare with."""
    (first, base), (middle, half), (end, whole) = points[0], points[-2], points[-1]
    if whole - base < seen or half <= base:
        return None
    return math.log((whole - base) / (half - base)) / math.log((end - first) / (middle - first))


def medians(runs, what, which):
    return [(n, statistics.median(run[what][n][which] for run in runs)) for n in sorted(runs[0][what])]


def slope(points):
    (first, base), (last, end) = points[0], points[-1]
    return (end - base) / (last - first)


def metrics_of(folder, domains, qemu):
    starts = read_runs(folder, "start")
    metrics = [
        Metric("scale", "start", "a tiny guest, from exec to the VMM's end", "ms", [run["dom1"] / 1e6 for run in starts],
               [run["qemu"] / 1e6 for run in starts], digits=0),
        Metric("scale", "start_rate", "such starts, one after the other", "1/s", [1e9 / run["dom1"] for run in starts],
               [1e9 / run["qemu"] for run in starts], digits=1),
        Metric("scale", "domain", "host's memory for one more domain of 16 MiB, without what its guest has touched", "KiB",
               [per_domain(domains, max(domains), with_guest=False)], [per_domain(qemu, max(qemu), with_guest=False)], dom1_goal=DOMAIN_GOAL_KIB),
    ]
    series = read_runs(folder, "series", read_series)
    growth = []
    for what, name in SERIES.items():
        for which, unit in ((0, "ms"), (1, "KiB")):
            points = medians(series, what, which)
            grown = exponent(points, SEEN_KIB if which else SEEN * points[0][1])
            if grown is not None:
                metrics.append(Metric("scale-growth", f"{what}_{unit}", f"exponent of {name}, {unit}", "", [grown], [],
                                      dom1_goal=EXPONENT_GOAL, digits=2))
            growth.append([name, unit, f"{points[0][1]:.0f}", f"{points[-1][1]:.0f} with {points[-1][0]}",
                           f"{slope(points):.3f}", "not seen" if grown is None else f"{grown:.2f}"])
    return metrics, growth, series


def report(folder, metrics, growth, domains, linux):
    text, host = host_text(folder)
    running = [[str(n), f"{took_ms:.0f}", f"{private / n:.0f}", f"{per_domain(domains, n, with_guest=False):.0f}" if n > 1 else ""]
               for n, (_, _, private, took_ms) in domains.items()]
    one_linux = per_domain(linux, max(linux), with_guest=True)
    return "\n\n".join([
        f"{text} Guests of {host['memory']}, {len(metrics[0].dom1)} runs by turns.",
        comparison(metrics, "scale"),
        f"A PVH Linux of {host['linux_memory']} that has come to its init takes {one_linux / 1024:.0f} MiB of the host with all that "
        f"belongs to it: {HOST_KIB / one_linux:.0f} of them are 16 GiB. Each has its kernel and initrd to itself.",
        "### Many domains",
        table(["domains", "start of the last one, ms", "private of each, KiB", "host's memory of each, KiB, without the guests'"],
              running),
        "### What grows with what a domain has",
        "From its start to its end, with so many; the exponent is that of what is added from the last but one to the last.",
        table(["", "unit", "with the fewest", "with the most", "for one more", "exponent"], growth),
        "![time of a run against what the domain has](pictures/scale-time.svg)\n"
        "![memory of many domains](pictures/scale-domains.svg)",
    ])


def draw(folder, series, domains):
    parts = {}
    for what, name in SERIES.items():
        points = medians(series, what, 0)
        parts[name] = [(100 * n / points[-1][0], ms / points[0][1]) for n, ms in points]
    bench_pictures.lines(folder / "scale-time.svg", "A run from start to end", "of the most, percent", "with the fewest = 1", parts)
    more = {n: (taken(domains, n, with_guest=False) - taken(domains, 1, with_guest=False)) / 1024 for n in domains}
    shown = {
        "host's memory, without the guests'": [(n - 1, mib) for n, mib in more.items()],
        "private memory of dom1": [(n - 1, (row[2] - domains[1][2]) / 1024) for n, row in domains.items()],
        "the goal": [(n - 1, (n - 1) * DOMAIN_GOAL_KIB / 1024) for n in domains],
    }
    bench_pictures.lines(folder / "scale-domains.svg", "Domains of 16 MiB", "domains more than one", "MiB more", shown)


def main():
    arguments = parse_arguments()
    domains, qemu = (read_domains(arguments.folder / f"domains.{vmm}") for vmm in ("dom1", "qemu"))
    linux = read_domains(arguments.folder / "linux.dom1")
    metrics, growth, series = metrics_of(arguments.folder, domains, qemu)
    if arguments.docs:
        draw(arguments.docs.parent / "pictures", series, domains)
    return finish(metrics, report(arguments.folder, metrics, growth, domains, linux), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
