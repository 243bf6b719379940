#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads JUnit's XML as CI systems do, and prints what it says: a line for each test, then the counts.

usage: junit-check.py FILE

The element tree is Python's own parser, nothing of dom1's. What breaks the rules of the documented format (names of
elements and attributes, counts that are not those of the tests) is an error.
"""
import sys
import xml.etree.ElementTree as tree

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "skipped": {"message"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "system-out": set(),
    "system-err": set(),
}


def kind(case):
    for name in ("failure", "error", "skipped"):
        if case.find(name) is not None:
            return name
    return "passed"


def check_counts(element, kinds):
    expected = {"tests": len(kinds), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    if element.tag == "testsuite":
        expected["skipped"] = kinds.count("skipped")
    for name, number in expected.items():
        if int(element.get(name)) != number:
            sys.exit(f"{element.tag}: {name} is {element.get(name)}, and there are {number}")
    float(element.get("time"))


def main():
    root = tree.parse(sys.argv[1]).getroot()
    if root.tag != "testsuites":
        sys.exit(f"the root is {root.tag}")
    for element in root.iter():
        if element.tag not in ATTRIBUTES or not set(element.keys()) <= ATTRIBUTES[element.tag]:
            sys.exit(f"{element.tag} with {element.keys()}")
    cases = list(root.iter("testcase"))
    for case in cases:
        float(case.get("time"))
        print(f"{kind(case)} {case.get('classname')} {case.get('name')}")
    for suite in root.iter("testsuite"):
        check_counts(suite, [kind(case) for case in suite.iter("testcase")])
    check_counts(root, [kind(case) for case in cases])
    kinds = [kind(case) for case in cases]
    print(f"{kinds.count('passed')} passed, {kinds.count('failure')} failures, {kinds.count('error')} errors, "
          f"{kinds.count('skipped')} skipped")


main()
