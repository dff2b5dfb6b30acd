#!/usr/bin/python3
"""Put what a program printed into a document:  put_table.py NAME DOCUMENT < TEXT

In DOCUMENT everything between the lines "<!-- made by make NAME -->" and "<!-- end of what make NAME made -->" is replaced.
"""
import pathlib
import sys


def main(name, document):
    begin, end = f"<!-- made by make {name} -->", f"<!-- end of what make {name} made -->"
    path = pathlib.Path(document)
    text = path.read_text()
    if text.count(begin) != 1 or text.count(end) != 1:
        sys.exit(f"{document}: needs one line {begin} and one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    path.write_text(before + begin + "\n\n" + sys.stdin.read().strip() + "\n\n" + end + after)


main(*sys.argv[1:])
