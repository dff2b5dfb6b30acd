#!/usr/bin/python3
"""Table of run.sh: table.py FOLDER NAME ... reads FOLDER/NAME.metrics.jsonl and FOLDER/NAME.dmc. Standard library only."""
import json
import pathlib
import struct
import sys


def parameters(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return int(json.loads(header["__metadata__"]["dmc.model"])["parameters"])


def row(folder, name):
    lines = [json.loads(line) for line in (folder / f"{name}.metrics.jsonl").read_text().splitlines()]
    seen = [line for line in lines if line["loss"] is not None]
    first, last = seen[0], seen[-1]
    return (f"| {name} | {parameters(folder / (name + '.dmc')):,} | {last['step']} | {first['loss']:.3g} | {last['loss']:.3g} | "
            f"{lines[0]['held_out_loss']:.3g} | {last['held_out_loss']:.3g} | {last['seconds']:.0f} |")


def main():
    folder = pathlib.Path(sys.argv[1])
    print("| config | parameters | updates | loss, first tenth | last tenth | held out, before | after | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sys.argv[2:]:
        print(row(folder, name))


main()
