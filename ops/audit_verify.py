#!/usr/bin/env python3
"""Recomputes the hash chain of an exported audit trail. Needs nothing but Python 3.

    sentinel audit export --format jsonl | ops/audit_verify.py -
    ops/audit_verify.py trail.jsonl [--head HASH]

Each line is a record. Its hash is SHA-256(prev_hash || canonical), where prev_hash is the text of 64 hexadecimal
characters and canonical is the record without "hash" as json.dumps writes it below. The first record has the
sequence 1 and 64 zeros as prev_hash. A trail that begins later is complete if a later row with
"event": {"kind": "anchor"} says that everything before expired.

With --head the last row must have this hash: only a head that was kept elsewhere (the daemon logs it) shows a cut tail.
Prints what it found; exit 0 if the chain is whole, 1 if not.
"""

import argparse
import hashlib
import json
import sys

GENESIS = "0" * 64


def digest(record):
    rest = {key: value for key, value in record.items() if key != "hash"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((record["prev_hash"] + canonical).encode("utf-8")).hexdigest()


def first_break(lines, expected_head):
    """Returns (text of the first break or None, number of rows, the last hash)."""
    previous, count, start, anchor = None, 0, None, None
    for line in lines:
        if not line.strip():
            continue
        count += 1
        expected = previous["sequence"] + 1 if previous else None
        try:
            record = json.loads(line)
            sequence, calculated = record["sequence"], digest(record)
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"unreadable at {expected or count}", count, None
        if calculated != record.get("hash"):
            return f"altered at {expected or sequence}", count, None
        if previous is None:
            if sequence != 1 or record["prev_hash"] != GENESIS:
                start = (sequence - 1, record["prev_hash"])
        elif sequence > expected:
            return f"deleted at {expected}", count, None
        elif sequence < expected:
            return f"inserted at {sequence}", count, None
        elif record["prev_hash"] != previous["hash"]:
            return f"rewritten at {previous['sequence']}", count, None
        event = record.get("event") or {}
        if event.get("kind") == "anchor":
            anchor = (event["sequence"], event["hash"])
        if event.get("kind") == "recovered" and event.get("reason") != "unclean_stop":
            return f"{event.get('reason')} at {event.get('found_sequence', 0) + 1}", count, None
        previous = record
    if start and not (anchor and (anchor[0] > start[0] or anchor == start)):
        return "head_cut at 1", count, None
    head = previous["hash"] if previous else GENESIS
    if expected_head and expected_head != head:
        return f"tail_cut at {previous['sequence'] + 1 if previous else 1}", count, head
    return None, count, head


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="exported trail, or - for standard input")
    parser.add_argument("--head", help="hash that the last row must have")
    arguments = parser.parse_args()
    source = sys.stdin.buffer if arguments.file == "-" else open(arguments.file, "rb")
    with source:
        found, count, head = first_break((line.decode("utf-8", "replace") for line in source), arguments.head)
    if found:
        print(f"broken: {found} ({count} rows read)")
        return 1
    print(f"whole: {count} rows, head {head}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
