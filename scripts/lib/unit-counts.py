"""Counts test cases of a meson test run: prints "PASSED FAILED SKIPPED".

usage: unit-counts.py LOGS PROGRAM...

LOGS is the folder meson-logs. A program that failed although none of its cases did (it crashed between two, or a
sanitizer spoke at its end) or that did not run counts as one failure.
"""
import json
import os
import sys
import xml.etree.ElementTree as ElementTree


def cases(path):
    """{program: [passed, failed, skipped]}; programs that reported no cases share the suite "dom1", one case each."""
    counts = {}
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        project, _, program = suite.get("name", "").partition(".")
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                kind = 1
            elif case.find("skipped") is not None:
                kind = 2
            else:
                kind = 0
            counts.setdefault(program or case.get("name"), [0, 0, 0])[kind] += 1
    return counts


def results(path):
    """{program: result} of meson's own log."""
    with open(path, encoding="utf-8") as log:
        return {test["name"].rpartition(":")[2].strip(): test["result"] for test in map(json.loads, log)}


def main():
    logs, programs = sys.argv[1], sys.argv[2:]
    counts = cases(os.path.join(logs, "testlog.junit.xml"))
    verdicts = results(os.path.join(logs, "testlog.json"))
    total = [0, 0, 0]
    for program in programs:
        count = counts.get(program, [0, 0, 0])
        verdict = verdicts.get(program, "did not run")
        if verdict == "SKIP" and sum(count) == 0:
            count[2] = 1
        elif verdict not in ("OK", "EXPECTEDFAIL", "SKIP") and count[1] == 0:
            count[1] = 1
        elif sum(count) == 0:
            # It claims success, but no case ran.
            count[1] = 1
        total = [sum(pair) for pair in zip(total, count)]
    print(*total)


main()
