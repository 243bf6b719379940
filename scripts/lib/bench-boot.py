# SPDX-License-Identifier: MIT
"""What the runs of scripts/bench boot came to: a table, JSON, and the generated part of docs/performance.md.

usage: bench-boot.py FOLDER [--json FILE] [--docs FILE]

FOLDER is as tests/bench/boot-runs.sh and scripts/bench left it. Status 0: all goals were reached, 1: not all.
"""

import statistics
import sys

import bench_pictures
from bench_common import Metric, comparison, finish, host_text, parse_arguments, read_numbers, read_runs, spread, table

BEGIN = "<!-- scripts/bench --docs writes from here -->"

PHASES = [
    ("first_entry", "exec to first guest instruction"),
    ("banner", "exec to the shim's banner"),
    ("built", "exec to domain built"),
    ("init", "exec to init"),
]
# The most that dom1 may take of QEMU's, by phase, and for returns to user space; memory in KiB.
PHASE_GOALS = {"first_entry": 1 / 30, "banner": 1 / 8, "init": 0.75}
RETURNS_GOAL, RETURNS_GOAL_NONE, RETURNS_GOAL_TWO = 1 / 6, 1 / 15, 1 / 4
PRIVATE_GOAL_KIB = 3072
PROGRAM_GOAL_KIB = 600
VCPU_GOAL_KIB = 64
FLOORS = [
    ("dom1", "dom1"),
    ("floor-shim", "`boot-floor`, static, with the shim read into its memory"),
    ("floor-libraries", "`boot-floor` with the libraries that dom1 is linked with"),
    ("floor", "`boot-floor`, static: what KVM and exec take"),
]
# boot-runs.sh compares a boot with one vCPU to one with this many.
VCPUS = 4

RETURN_NAMES = {
    "KVM_EXIT_IO": "port access",
    "KVM_EXIT_MMIO": "access to a device's memory",
    "KVM_EXIT_XEN": "hypercall",
    "0x22": "hypercall",
    "KVM_EXIT_IRQ_WINDOW_OPEN": "interrupt window",
    "KVM_EXIT_IOAPIC_EOI": "end of interrupt of an IO-APIC pin",
    "restart": "called out by a signal",
    "KVM_EXIT_TPR_ACCESS": "access to the task priority",
}
# KVM's word on AMD, and on Intel where it differs.
EXIT_NAMES = {
    "msr": "`msr`: access to a model-specific register. Nearly all are the shim's timer and the end of its interrupt; "
           "KVM answers them",
    "interrupt": "`interrupt`: an interrupt of the host came while the guest ran, most of them its own timer",
    "io": "`io`: port access; nobody in the kernel answers, so it goes on to user space",
    "npf": "`npf`: the guest touched a page for the first time, or a device's memory",
    "hypercall": "`hypercall`: sending events, mostly to the console, which KVM does, and the shim's log, which goes "
                 "on to user space",
    "UD": "`UD`: `ud2` before a PV guest's CPUID. KVM looks whether it is its own prefix, and hands it to the shim",
    "cpuid": "`cpuid`: KVM answers from its table",
    "vintr": "`vintr`: the guest can take an interrupt now that was waiting",
    "write_cr4": "`write_cr4`: the shim changes a control register, for one to flush its TLB with the global pages",
    "hlt": "`hlt`: the guest is idle",
}
EXIT_NAMES.update({
    "MSR_WRITE": EXIT_NAMES["msr"],
    "EXTERNAL_INTERRUPT": EXIT_NAMES["interrupt"],
    "IO_INSTRUCTION": EXIT_NAMES["io"],
    "EPT_VIOLATION": EXIT_NAMES["npf"],
    "VMCALL": EXIT_NAMES["hypercall"],
    "CPUID": EXIT_NAMES["cpuid"],
    "INTERRUPT_WINDOW": EXIT_NAMES["vintr"],
    "HLT": EXIT_NAMES["hlt"],
})
DETAIL_NAMES = {
    "msr 6e0": "TSC deadline timer",
    "msr 80b": "x2APIC, end of interrupt",
    "port cf8": "PCI configuration",
    "port cfc": "PCI configuration",
    "port cfe": "PCI configuration",
    "port 402": "SeaBIOS's log",
    "port 510": "fw_cfg",
    "port 511": "fw_cfg",
    "port 518": "fw_cfg, by DMA",
    "port 20": "interrupt controller",
    "port 21": "interrupt controller",
    "port a0": "interrupt controller",
    "port a1": "interrupt controller",
    "port 40": "PIT",
    "port 43": "PIT",
    "port 70": "CMOS",
    "port 71": "CMOS",
    "page fec00000": "IO-APIC",
    "page fee00000": "local APIC",
}
HYPERCALL_NAMES = {12: "memory_op", 17: "xen_version", 18: "console_io", 20: "grant_table_op", 24: "vcpu_op",
                   29: "sched_op", 32: "event_channel_op", 34: "hvm_op"}


def read_counts(path):
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {(wanted, kind, detail): int(number) for number, wanted, kind, detail in rows}


class Results:
    """The files of the folder, by series."""

    def __init__(self, folder):
        self.folder = folder
        self.sizes = read_numbers(folder / "sizes")

    def values(self, series, key):
        return [run[key] for run in read_runs(self.folder, series)]

    def counts(self, series):
        """One {(table, kind, detail): number} a run."""
        return read_runs(self.folder, series, read_counts, suffix=".counts")

    def totals(self, series, table):
        return [sum(number for (t, _, detail), number in run.items() if t == table and detail == "")
                for run in self.counts(series)]


def ms(values):
    return [value / 1e6 for value in values]


def kib(values):
    return [value / 1024 for value in values]


def metrics_of(results):
    metrics = []
    warm = {phase: ms(results.values("dom1", phase)) for phase, _ in PHASES}
    qemu = {phase: ms(results.values("qemu", phase)) for phase, _ in PHASES}
    cold = {phase: ms(results.values("dom1-cold", phase)) for phase, _ in PHASES}
    elf = {phase: ms(results.values("qemu-elf", phase)) for phase, _ in PHASES}
    for phase, title in PHASES:
        metrics.append(Metric("boot", phase, title, "ms", warm[phase], qemu[phase], ratio_goal=PHASE_GOALS.get(phase)))
    metrics.append(Metric("boot", "init_two", "exec to init with two vCPUs", "ms", ms(results.values("dom1-smp", "init")),
                          ms(results.values("qemu-smp", "init")), ratio_goal=PHASE_GOALS["init"]))
    for key, title, goal in (("returns", "returns of KVM_RUN to user space", RETURNS_GOAL),
                             ("exits", "exits to KVM", None), ("emulations", "instructions emulated by KVM", None)):
        metrics.append(Metric("boot", key, title, "", results.totals("dom1-count", key),
                              results.totals("qemu-count", key), ratio_goal=goal))
    for series, title, goal in (("none", "without the shim's log", RETURNS_GOAL_NONE), ("two", "with two vCPUs", RETURNS_GOAL_TWO)):
        metrics.append(Metric("boot", f"returns_{series}", f"returns {title}", "", results.totals(f"dom1-count-{series}", "returns"),
                              results.totals(f"qemu-count-{series}", "returns"), ratio_goal=goal))
    dom1 = results.values("dom1-count", "private")
    peer = results.values("qemu-count", "private")
    metrics.append(Metric("boot", "private", "private memory besides guest RAM", "KiB", dom1, peer,
                          dom1_goal=PRIVATE_GOAL_KIB))

    def per_vcpu(series, base):
        return [(value - statistics.median(base)) / (VCPUS - 1) for value in results.values(series, "private")]
    metrics.append(Metric("boot", "private_per_vcpu", "the same for one more vCPU", "KiB", per_vcpu("dom1-vcpus", dom1),
                          per_vcpu("qemu-vcpus", peer), dom1_goal=VCPU_GOAL_KIB))
    for key, title, goal in (("binary", "program, stripped", PROGRAM_GOAL_KIB), ("binary_with_libraries", "program and its libraries", None)):
        metrics.append(Metric("boot", key, title, "KiB", kib([results.sizes[f"dom1_{key}"]]),
                              kib([results.sizes[f"qemu_{key}"]]), dom1_goal=goal))
    for phase, title in PHASES:
        metrics.append(Metric("boot-cold", phase, title, "ms", cold[phase], qemu[phase]))
    for phase, title in PHASES:
        metrics.append(Metric("boot-elf", phase, title, "ms", warm[phase], elf[phase]))
    return metrics


def detail_name(detail):
    if detail.startswith("hypercall "):
        number = int(detail.split()[1], 16)
        return HYPERCALL_NAMES.get(number, f"hypercall {number}")
    name = DETAIL_NAMES.get(detail)
    return f"{detail} ({name})" if name else detail


def medians(runs):
    keys = dict.fromkeys(key for run in runs for key in run)
    return {key: statistics.median([run.get(key, 0) for run in runs]) for key in keys}


def largest_kinds(results, wanted, number=5):
    """Rows of the kinds that are among the largest of either."""
    dom1, peer = (medians(results.counts(series)) for series in ("dom1-count", "qemu-count"))
    kinds = []
    for run in (dom1, peer):
        own = sorted((key for key in run if key[0] == wanted and key[2] == ""), key=lambda key: -run[key])
        kinds += [key[1] for key in own[:number] if key[1] not in kinds]
    kinds.sort(key=lambda kind: -max(dom1.get((wanted, kind, ""), 0), peer.get((wanted, kind, ""), 0)))
    return [(kind, dom1.get((wanted, kind, ""), 0), peer.get((wanted, kind, ""), 0), details(dom1, wanted, kind),
             details(peer, wanted, kind)) for kind in kinds]


def details(run, wanted, kind, number=3):
    # Ports of one device count as one.
    sums = {}
    for (t, k, detail), count in run.items():
        if t == wanted and k == kind and detail:
            name = detail_name(detail)
            name = name[name.index("(") + 1:-1] if "(" in name and detail.startswith("port") else name
            sums[name] = sums.get(name, 0) + count
    largest = sorted(sums.items(), key=lambda item: -item[1])[:number]
    return ", ".join(f"{name} {count:.0f}" for name, count in largest)


def kinds_table(results, wanted, names):
    rows = [[names.get(kind, f"`{kind}`"), f"{dom1:.0f}", dom1_details, f"{peer:.0f}", peer_details]
            for kind, dom1, peer, dom1_details, peer_details in largest_kinds(results, wanted)]
    return table(["", "dom1", "of these", "QEMU", "of these"], rows)


def conditions(results, metrics):
    text, host = host_text(results.folder)
    n = next(metric for metric in metrics if metric.name == "init")
    return (f"{text} One vCPU, {host['guest_memory']}, the shim's options `{host['shim_options']}`. "
            f"{len(n.dom1)} timed runs of each in turn; runs that failed and were repeated: {host['failures']}.")


def floor_table(results):
    """exec to the first guest instruction, of programs that do less and less, and of QEMU's."""
    peer = results.values("qemu", "first_entry")
    rows = []
    for series, title in FLOORS:
        own = results.values(series, "first_entry")
        ratios = [a / b for a, b in zip(own, peer)]
        rows.append([title, spread(ms(own), 0), spread(ratios, 2)])
    return table(["", "ms", "of QEMU's"], rows)


def report(results, metrics):
    return "\n\n".join([
        conditions(results, metrics),
        "### dom1 with a warm cache, QEMU with the same bzImage",
        comparison(metrics, "boot"),
        "![from exec to init, by phases](pictures/boot.svg)",
        "### exec to first guest instruction, and the least it can be",
        floor_table(results),
        "### dom1 with a cold cache",
        comparison(metrics, "boot-cold"),
        "### QEMU with the unpacked kernel",
        comparison(metrics, "boot-elf"),
        "### Returns of KVM_RUN to user space, by kind",
        kinds_table(results, "returns", RETURN_NAMES),
        "### Exits to KVM, by kind",
        kinds_table(results, "exits", EXIT_NAMES),
        "### Instructions emulated by KVM, by the kind of the exit",
        kinds_table(results, "emulations", {kind: f"`{kind}`" for kind in EXIT_NAMES}),
    ])


# Each begins where the one before ends.
PARTS = {"first_entry": "to the first instruction", "banner": "to the shim's banner", "built": "to the domain built", "init": "to init"}
DRAWN = {"dom1": "dom1", "qemu": "QEMU", "qemu-elf": "QEMU, unpacked kernel"}


def draw(path, results):
    bars = {}
    for series, name in DRAWN.items():
        moments = [statistics.median(results.values(series, key)) / 1e9 for key in PARTS]
        bars[name] = [moment - before for before, moment in zip([0, *moments], moments)]
    bench_pictures.stacks(path, "A PV Linux from exec to init, one vCPU", "s", PARTS.values(), bars)


def main():
    arguments = parse_arguments()
    results = Results(arguments.folder)
    metrics = metrics_of(results)
    if arguments.docs:
        draw(arguments.docs.parent / "pictures" / "boot.svg", results)
    return finish(metrics, report(results, metrics), arguments, BEGIN)


if __name__ == "__main__":
    sys.exit(main())
