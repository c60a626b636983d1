"""What a Containerfile says of the image: its last stage, its ENTRYPOINT and CMD, what it copies from where."""

import json
import pathlib
import re
import shlex


class Image:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.stages = []  # Lists of (instruction, value); the last one is the image.
        for keyword, value in instructions(self.path.read_text()):
            if keyword == "FROM":
                self.stages.append([])
            self.stages[-1].append((keyword, value))

    def of(self, keyword, stage=-1):
        return [value for found, value in self.stages[stage] if found == keyword]

    @property
    def entrypoint(self):
        return json.loads(self.of("ENTRYPOINT")[-1])

    @property
    def command(self):
        return json.loads(commands[-1]) if (commands := self.of("CMD")) else []

    @property
    def user(self):
        return self.of("USER")[-1]

    @property
    def ports(self):
        return {int(port) for value in self.of("EXPOSE") for port in value.split()}

    @property
    def environment(self):
        return dict(assignments(self.of("ENV")))

    @property
    def labels(self):
        arguments = dict(assignments(self.of("ARG")))
        return {name: re.sub(r"\$\{(\w+)\}", lambda use: arguments[use[1]], value)
                for name, value in assignments(self.of("LABEL"))}

    @property
    def bases(self):
        return [value.split()[0] for stage in self.stages for keyword, value in stage if keyword == "FROM"]

    def copies(self, stage=-1):
        """(flags, sources, destination) of each COPY."""
        for value in self.of("COPY", stage):
            words = value.split()
            flags = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--"))
            paths = [word for word in words if not word.startswith("--")]
            yield flags, paths[:-1], paths[-1]


def instructions(text):
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, value = line.strip().split(None, 1)
        yield keyword.upper(), " ".join(value.split())


def assignments(values):
    return [pair.split("=", 1) for value in values for pair in shlex.split(value)]
