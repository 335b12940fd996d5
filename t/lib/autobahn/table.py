"""The verdicts of Autobahn's index.json: a row for each chapter, and every case that is not OK."""

import json
import sys

COLUMNS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"]
FINE = COLUMNS[:3]


def verdict(case):
    both = [case["behavior"], case["behaviorClose"]]
    for name in ["FAILED", "UNIMPLEMENTED", "NON-STRICT", "INFORMATIONAL"]:
        if name in both or (name == "FAILED" and not set(both) <= set(COLUMNS)):
            return name
    return "OK"


def row(cells):
    print("    " + "".join(str(cell).rjust(15 if at else 8) for at, cell in enumerate(cells)))


def main(path):
    (cases,) = json.load(open(path)).values()
    number = lambda name: [int(part) for part in name.split(".")]
    verdicts = {name: verdict(cases[name]) for name in sorted(cases, key=number)}
    row(["cases"] + COLUMNS)
    chapters = sorted({number(name)[0] for name in verdicts})
    for chapter in chapters + ["all"]:
        these = [v for n, v in verdicts.items() if chapter in ("all", number(n)[0])]
        row([f"{chapter}.*" if chapter != "all" else "all"] + [these.count(c) for c in COLUMNS])
    others = [f"    {name} {verdict}" for name, verdict in verdicts.items() if verdict != "OK"]
    print("\n" + "\n".join(others) if others else "")
    return 0 if set(verdicts.values()) <= set(FINE) else 1


sys.exit(main(sys.argv[1]))
