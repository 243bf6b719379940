# SPDX-License-Identifier: MIT
"""Collects the system calls that the machine's threads make, from the comments beside the functions that make them.

usage: collect-rules.py --rules DEPFILE FOLDER      rules.inc, to standard output
       collect-rules.py --table FILE FOLDER         puts the table of them between FILE's marks
       collect-rules.py --check FILE FOLDER         fails unless it stands there already

A comment says which threads call what, and with which value of the argument that matters:

    /* syscalls(vcpu): ioctl(KVM_RUN) futex */
    /* syscalls(main, mapper): mmap(~PROT_EXEC) clone3=ENOSYS */

"(X)": only with this value, one rule each. "(~X)": only without these bits. "=ERRNO" is an answer: the call is refused
without being a violation. "all" is every thread. Each rule becomes a line for make-filters.c.
"""

import pathlib
import re
import sys

THREADS = ("main", "vcpu", "io", "io_sync", "mapper", "loader", "memory", "lender", "flush", "vhost")
# Which argument of a call a value in parentheses is for.
ARGUMENT = {"ioctl": 1, "fcntl": 1, "prctl": 0, "madvise": 2, "mmap": 2, "mprotect": 2, "clone": 0}
BEGIN = "<!-- from the sources: src/sandbox/collect-rules.py --table -->\n"
END = "<!-- end -->\n"
# At the end of a comment, whatever stands before.
COMMENT = re.compile(r"\bsyscalls\(([^)]*)\):(.*?)(?=\*/|syscalls\()", re.S)
CALL = re.compile(r"(\w+)(?:\((~?)(\w+)\))?(?:=(\w+))?$")


def rules_of(path, text):
    for comment in COMMENT.finditer(text):
        line = text.count("\n", 0, comment.start()) + 1
        where = f"{path}:{line}"
        threads = [thread.strip() for thread in comment.group(1).split(",")]
        threads = THREADS if threads == ["all"] else threads
        for word in comment.group(2).replace("*", " ").split():
            call = CALL.match(word)
            if not call or not set(threads) <= set(THREADS):
                sys.exit(f"{where}: not a rule: {word} for {', '.join(threads)}")
            name, without, value, errno = call.groups()
            if value and name not in ARGUMENT:
                sys.exit(f"{where}: no argument of {name} is known to matter")
            for thread in threads:
                yield thread, name, without, value, errno, where


def all_rules(folder):
    for path in sorted(folder.rglob("*.[ch]")):
        yield from rules_of(path.relative_to(folder), path.read_text("utf-8"))


def print_rules(depfile, folder):
    for thread, name, without, value, errno, where in all_rules(folder):
        argument = ARGUMENT[name] if value else -1
        mask, wanted = (value, "0") if without else ("UINT32_MAX", value or "0")
        print(f'RULE({thread}, {name}, {argument}, {mask}, {wanted}, {errno or "0"}, "{where}")')
    paths = " ".join(str(path) for path in sorted(folder.rglob("*.[ch]")))
    pathlib.Path(depfile).write_text(f"rules.inc: {paths}\n", "utf-8")


def table_of(folder):
    allowed = {thread: {} for thread in THREADS}
    refused = {thread: set() for thread in THREADS}
    for thread, name, without, value, errno, _ in all_rules(folder):
        if errno:
            refused[thread].add(name)
            continue
        values = allowed[thread].setdefault(name, set())
        values.add(f"without {value}" if without else value or "")
    lines = ["| thread | calls | which |", "|---|---|---|"]
    for thread in THREADS:
        words = []
        for name, values in sorted(allowed[thread].items()):
            words.append(f"{name}" if "" in values else f"{name} ({', '.join(sorted(values))})")
        text = ", ".join(words)
        left = sorted(refused[thread] - set(allowed[thread]))
        if left:
            text += "; answered with an error: " + ", ".join(left)
        lines.append(f"| {thread} | {len(words)} | {text} |")
    return "\n".join(lines) + "\n"


def update(path, folder, check):
    text = path.read_text("utf-8")
    before, found, rest = text.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        sys.exit(f"{path}: no place for the table: {BEGIN.strip()}")
    wanted = before + BEGIN + table_of(folder) + END + after
    if check and wanted != text:
        sys.exit(f"{path}: not what the sources say: run {sys.argv[0]} --table {path} {folder}")
    if not check:
        path.write_text(wanted, "utf-8")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--rules":
        print_rules(sys.argv[2], pathlib.Path(sys.argv[3]))
    elif len(sys.argv) == 4 and sys.argv[1] in ("--table", "--check"):
        update(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[1] == "--check")
    else:
        sys.exit(__doc__)


main()
