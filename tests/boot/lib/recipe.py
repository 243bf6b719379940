#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Commands of the recipes in docs/ci, as a shell script that runs them in the way the CI system does.

usage: recipe.py FILE shards             how many shards the recipe has
       recipe.py FILE shard I            the commands of shard I, from 1 on
       recipe.py FILE results            the commands that follow the last shard

FILE's name says whose recipe it is.
"""
import pathlib
import re
import shlex
import sys

import yaml


class Github:
    """Each step is a shell of its own; expressions are replaced before it starts."""

    def __init__(self, document):
        self.jobs = document["jobs"]

    def shards(self):
        return len(self.jobs["test"]["strategy"]["matrix"]["shard"])

    def shard(self, index):
        known = {"matrix.shard": self.jobs["test"]["strategy"]["matrix"]["shard"][index - 1],
                 "strategy.job-total": self.shards()}
        return self.steps(self.jobs["test"], known)

    def results(self):
        return self.steps(self.jobs["results"], {})

    @staticmethod
    def steps(job, known):
        def evaluated(text):
            return re.sub(r"\$\{\{ *(.*?) *\}\}", lambda match: str(known[match[1]]), text)

        lines = [f"export {name}={shlex.quote(evaluated(value))}" for name, value in job.get("env", {}).items()]
        return lines + [shlex.join(["sh", "-e", "-c", evaluated(step["run"])]) for step in job["steps"] if "run" in step]


class Gitlab:
    """All lines of a job are one shell's."""

    def __init__(self, document):
        self.document = document

    def shards(self):
        return self.document["guests"]["parallel"]

    def shard(self, index):
        return [f"export CI_NODE_INDEX={index} CI_NODE_TOTAL={self.shards()}"] + self.document["guests"]["script"]

    def results(self):
        return self.document["results"]["script"]


class Kubernetes:
    """A command and its arguments, without a shell but its own; no other shell expands $( )."""

    def __init__(self, document):
        self.spec = document["spec"]
        self.container, = self.spec["template"]["spec"]["containers"]

    def shards(self):
        return self.spec["completions"]

    def shard(self, index):
        variables = [f"{entry['name']}={entry['value']}" for entry in self.container["env"]]
        return [shlex.join(["env", f"JOB_COMPLETION_INDEX={index - 1}", *variables, *self.container["command"]])]

    def results(self):
        return ["dom1 report --merge --output junit.xml results/*/junit.xml"]


def main():
    path = pathlib.Path(sys.argv[1])
    kind = {"github.yml": Github, "gitlab.yml": Gitlab, "kubernetes.yaml": Kubernetes}[path.name]
    recipe = kind(yaml.safe_load(path.read_text()))
    if sys.argv[2] == "shards":
        print(recipe.shards())
        return
    lines = recipe.shard(int(sys.argv[3])) if sys.argv[2] == "shard" else recipe.results()
    print("set -e", *lines, sep="\n")


main()
