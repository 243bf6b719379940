#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Static checks of src by gcc -fanalyzer, clang-tidy and cppcheck.

usage: analyse.py [--jobs N] [--tool NAME]... BUILD EXCUSES [FILE...]

BUILD has compile_commands.json. EXCUSES has lines "TOOL CHECK FILE: REASON"; FILE may end with *. Prints what is found and not
excused, and excuses that nothing needs any more (of all files and tools). Status 1: there is something of either.
"""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys

# Of clang-tidy's, those that find mistakes and not tastes.
TIDY_CHECKS = ",".join([
    "-*",  # with it clang's analyzer, which takes minutes for what gcc's finds as well
    "bugprone-*",
    "cert-err33-c",
    "cert-flp30-c",
    "misc-redundant-expression",
    "-bugprone-easily-swappable-parameters",  # two numbers side by side
    "-bugprone-implicit-widening-of-multiplication-result",  # constants of bytes
    "-bugprone-reserved-identifier",  # _GNU_SOURCE
    "-bugprone-narrowing-conversions",  # -Wconversion has it
    "-bugprone-macro-parentheses",  # tables of fields
    "-bugprone-assignment-in-if-condition",  # not in conditions that are read as a sequence
    "-bugprone-sizeof-expression",  # sizes of pointers in tables
    "-bugprone-branch-clone",  # two cases, one answer
    "-bugprone-unchecked-optional-access",
    "-cert-err33-c",  # printf() to a terminal
])
# Macros that it cannot see: cppcheck does not read GLib's headers.
CPPCHECK_OPTIONS = [
    "--enable=warning,portability", "--library=gtk", "--library=posix", "--inline-suppr", "-q",
    "--template={file}:{line}: {id}: {message}",
    "-DG_GNUC_PRINTF(a,b)=", "-Djson_array_foreach(a,i,v)=for(i=0,v=json_array_get(a,i);v;v=json_array_get(a,++i))",
    "-Djson_object_foreach(o,k,v)=for(k=0,v=0;k;)", "-DG_DEFINE_AUTOPTR_CLEANUP_FUNC(a,b)=", "-DG_BEGIN_DECLS=", "-DG_END_DECLS=",
    "-Dg_autofree=", "-Dg_autoptr(t)=t*", "-Dg_auto(t)=t", "-DMIN(a,b)=((a)<(b)?(a):(b))", "-DMAX(a,b)=((a)>(b)?(a):(b))",
    "-DG_N_ELEMENTS(a)=(sizeof(a)/sizeof((a)[0]))",
]
PLACE = re.compile(r"^(?P<file>[^:\s][^:]*):(?P<line>\d+):(?:\d+:)? *(?P<rest>.*)$")


class Source:
    def __init__(self, entry, root):
        self.folder = entry["directory"]
        path = os.path.normpath(os.path.join(self.folder, entry["file"]))
        self.path = path
        self.name = os.path.relpath(path, root)
        words = shlex.split(entry["command"])
        while words and os.path.basename(words[0]) in ("ccache", "nice"):
            words.pop(0)
        self.flags = []
        skip = 0
        for word in words[1:]:
            if skip:
                skip -= 1
            elif word in ("-o", "-MF", "-MQ"):
                skip = 1
            elif word in ("-c", "-MD", entry["file"]) or word.startswith(("-fsanitize", "-W", "-O", "-g")):
                continue
            else:
                self.flags.append(word)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False)
    return done.stdout


def by_gcc(source, pattern=re.compile(r"warning: (.*) \[(?:CWE-\d+\] \[)?-W(analyzer-[\w-]+)\]")):
    text = run(["gcc", *source.flags, "-O1", "-fanalyzer", "-fdiagnostics-path-format=none", "-fdiagnostics-plain-output", "-c", "-o",
                os.devnull, source.path], source.folder)
    return matches(text, pattern, (2, 1))


def by_tidy(source, pattern=re.compile(r"(?:warning|error): (.*) \[([\w.,-]+)\]$")):
    text = run(["clang-tidy", "--quiet", "--checks=" + TIDY_CHECKS, source.path, "--", *source.flags], source.folder)
    return matches(text, pattern, (2, 1))


def by_cppcheck(source, pattern=re.compile(r"^(\w+): (.*)$")):
    kept = [flag for flag in source.flags if flag.startswith(("-D", "-I"))]
    quoted = []
    for i, flag in enumerate(source.flags):
        if flag == "-iquote":
            quoted.append("-I" + source.flags[i + 1])
    text = run(["cppcheck", *CPPCHECK_OPTIONS, *kept, *quoted, source.path], source.folder)
    return matches(text, pattern, (1, 2))


def matches(text, pattern, groups):
    for line in text.splitlines():
        place = PLACE.match(line)
        found = place and pattern.search(place["rest"])
        if found:
            yield place["file"], place["line"], found.group(groups[0]), found.group(groups[1])


TOOLS = {"gcc": by_gcc, "clang-tidy": by_tidy, "cppcheck": by_cppcheck}


def read_excuses(path):
    excuses = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            place, colon, reason = line.partition(": ")
            words = place.split()
            if not colon or not reason or len(words) != 3:
                sys.exit(f"{path}: not an excuse: {line}")
            excuses.append(tuple(words))
    return excuses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tool", action="append", choices=sorted(TOOLS))
    parser.add_argument("build")
    parser.add_argument("excuses")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    sources = {}
    with open(os.path.join(options.build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            source = Source(entry, root)
            if source.name.startswith("src/") and (not options.files or source.name in options.files):
                sources.setdefault(source.name, source)
    excuses = read_excuses(options.excuses)
    used = set()
    found = set()
    tools = options.tool or sorted(TOOLS)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {pool.submit(lambda tool, source: list(TOOLS[tool](source)), tool, source): (tool, source)
                for tool in tools for source in sources.values()}
        for job in concurrent.futures.as_completed(jobs):
            tool, source = jobs[job]
            for path, line, check, text in job.result():
                name = os.path.relpath(os.path.normpath(os.path.join(source.folder, path)), root)
                excuse = next((e for e in excuses if e[0] == tool and e[1] == check and fnmatch.fnmatch(name, e[2])), None)
                if excuse:
                    used.add(excuse)
                elif not name.startswith(".."):
                    found.add((name, int(line), tool, check, text))
    for name, line, tool, check, text in sorted(found):
        print(f"{name}:{line}: {tool}: {check}: {text}")
    unused = [] if options.files or options.tool else [e for e in excuses if e not in used]
    for excuse in unused:
        print("an excuse that nothing needs: " + " ".join(excuse))
    print(f"{len(sources)} files by {', '.join(tools)}: {len(found)} findings, {len(used)} excuses used")
    return 1 if found or unused or not sources else 0


sys.exit(main())
