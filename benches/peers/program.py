"""A program of ours that measures one round a request: a line in, milliseconds out; a JSON document at the end."""

import json
import subprocess
import sys


class Program:
    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # It says that it is ready.
        self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the program under test ended early")
        return line

    def ms(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.line())

    def finish(self):
        self.process.stdin.close()
        return json.loads(self.line())
