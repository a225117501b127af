# SPDX-License-Identifier: GPL-2.0-or-later
"""
Compares the netlink specification with the uapi header and, with --kernel, with the family in the
running kernel: operations, groups, policies. Then it spoils the specification in several ways and
sees to it that each would have been noticed.

	spec.py SPEC HEADER [--kernel]

Prints what differs, a line each; status 1 when anything does. Of C it understands as much as the
header uses.
"""
import copy
import re
import socket
import struct
import sys

import yaml

LIMITS = {"u8-max": 2**8 - 1, "u16-max": 2**16 - 1, "u32-max": 2**32 - 1, "u64-max": 2**64 - 1,
          "s32-max": 2**31 - 1, "s64-max": 2**63 - 1}
differences = []


def differ(text):
    differences.append(text)


def c_name(text):
    return text.upper().replace("-", "_")


def limit(spec, word):
    """A limit of a check: a number, the name of a constant, or of a type's own limit."""
    if isinstance(word, int):
        return word
    if word in LIMITS:
        return LIMITS[word]
    return next(d["value"] for d in spec["definitions"]
                if d["type"] == "const" and d["name"] == word)


def flags_mask(spec, name):
    return (1 << len(next(d for d in spec["definitions"] if d["name"] == name)["entries"])) - 1


def numbers(spec):
    """Every C name that the specification implies, with its number; and enums for completeness."""
    names, enums = {"R3MAP_FAMILY_VERSION": spec.get("version", 1)}, {}
    for d in spec["definitions"]:
        if d["type"] == "const":
            names["R3MAP_" + c_name(d["name"])] = d["value"]
        elif d["type"] in ("enum", "flags"):
            start = d.get("value-start", 0)
            members = {}
            for i, entry in enumerate(d["entries"]):
                value = 1 << i if d["type"] == "flags" else start + i
                members[c_name(d["name-prefix"] + entry["name"])] = value
            names.update(members)
            enums[c_name(d["name-prefix"])] = members
    for s in spec["attribute-sets"]:
        members = {c_name(s["name-prefix"] + a["name"]): i + 1
                   for i, a in enumerate(s["attributes"])}
        names.update(members)
        enums[c_name(s["name-prefix"])] = members
    ops = spec["operations"]
    members = {c_name(ops["name-prefix"] + op["name"]): i + 1 for i, op in enumerate(ops["list"])}
    names.update(members)
    enums[c_name(ops["name-prefix"])] = members
    return names, enums


def header_names(text):
    """Every enumerator and numeric macro of the header. Its expressions are those of Python, too."""
    names = {}

    def value(expression):
        expression = re.sub(r"\b(\d+|0x[0-9a-fA-F]+)(?:U?L?L)\b", r"\1", expression)
        return eval(re.sub(r"\b(\d+)U\b", r"\1", expression), {}, dict(names))

    for item in re.finditer(r"enum\s+\w+\s*\{(.*?)\}|^#define\s+(R3MAP_\w+)[ \t]+([^\n]+)", text,
                            flags=re.S | re.M):
        if item.group(2):
            if '"' not in item.group(3):
                names[item.group(2)] = value(item.group(3))
            continue
        at = 0
        for member in filter(None, (m.strip() for m in item.group(1).split(","))):
            name, _, given = member.partition("=")
            at = value(given) if given else at
            names[name.strip()] = at
            at += 1
    return names


def header_layout(text):
    """Offsets of the members of the structs, which must need no padding, and their sizes."""
    layout = {}
    for name, body in re.findall(r"struct\s+(\w+)\s*\{(.*?)\};", text, flags=re.S):
        at = 0
        for sign, bits, member in re.findall(r"__([us])(\d+)\s+(\w+);", body):
            size = int(bits) // 8
            if at % size:
                differ(f"{name}.{member} is not aligned")
            layout[f"{name}.{member}"] = (at, sign + bits)
            at += size
        layout[name] = (at, "struct")
    return layout


def compare_header(spec, path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read().replace("\\\n", ""), flags=re.S)
    names, enums = numbers(spec)
    have = header_names(text)
    for name, value in names.items():
        if have.get(name) != value:
            differ(f"{name} is {value} in the specification, {have.get(name)} in the header")
    layout = header_layout(text)
    for d in spec["definitions"]:
        at = 0
        if d["type"] != "struct":
            continue
        for m in d["members"]:
            place = layout.pop(f"r3map_{d['name']}.{m['name']}", None)
            if place != (at, m["type"]):
                differ(f"struct {d['name']}: {m['name']} is {(at, m['type'])} in the "
                       f"specification, {place} in the header")
            at += int(m["type"][1:]) // 8
        layout.pop(f"r3map_{d['name']}", None)
    for name in layout:
        differ(f"struct {name} is in the header, not in the specification")
    for key, want in (("FAMILY_NAME", spec["name"]), ("MCGRP_EVENTS", "events")):
        if f'R3MAP_{key}\t"{want}"' not in text:
            differ(f"{key} is not {want}")
    if [g["name"] for g in spec["mcast-groups"]["list"]] != ["events"]:
        differ("the groups of the specification")
    # what the header has more of
    for name in have:
        if name not in names and not re.search(r"(_UNSPEC|_MAX|_ALL)$", name):
            differ(f"{name} is in the header, not in the specification")
    for prefix, members in enums.items():
        if f"__{prefix}MAX" in have and have.get(f"{prefix}MAX") != max(members.values()):
            differ(f"{prefix}MAX is {have.get(f'{prefix}MAX')}, the specification ends at "
                   f"{max(members.values())}")


# --- the running kernel ---------------------------------------------------------------------

TYPES = {1: "flag", 2: "u8", 3: "u16", 4: "u32", 5: "u64", 8: "s32", 10: "binary", 11: "string",
         12: "nul-string", 13: "nest"}


def attrs(data):
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        yield kind & 0x3fff, data[at + 4:at + length]
        at += (length + 3) & ~3


def ask(sock, cmd, payload, dump):
    flags = 0x1 | (0x300 if dump else 0x4)
    body = struct.pack("=BBH", cmd, 2, 0) + payload
    sock.send(struct.pack("=IHHII", 16 + len(body), 16, flags, 1, 0) + body)
    messages = []
    while True:
        data = sock.recv(1 << 20)
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == 3:
                return messages
            if kind == 2:
                error = struct.unpack_from("=i", data, at + 16)[0]
                if error:
                    raise OSError(-error, "the kernel refuses")
                return messages
            messages.append(data[at + 20:at + length])
            at += (length + 3) & ~3


def number(data, signed=False):
    return int.from_bytes(data, sys.byteorder, signed=signed)


def attr(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def kernel_policy(sock, family):
    """({command: (policy of do, of dump)}, {policy: {attribute: facts}})"""
    which, policies = {}, {}
    for message in ask(sock, 10, attr(1, struct.pack("=H", family)), True):
        for kind, data in attrs(message):
            if kind == 9:       # CTRL_ATTR_OP_POLICY
                for cmd, inner in attrs(data):
                    which.setdefault(cmd, {}).update({k: number(v) for k, v in attrs(inner)})
            elif kind == 8:     # CTRL_ATTR_POLICY
                for index, inner in attrs(data):
                    for attribute, facts in attrs(inner):
                        policies.setdefault(index, {})[attribute] = dict(attrs(facts))
    return which, policies


def check_attribute(spec, where, a, facts):
    kind = TYPES.get(number(facts.get(1, b"")), "?")
    want = {"string": "nul-string"}.get(a["type"], a["type"])
    if kind != want:
        differ(f"{where}: type {kind}, the specification says {a['type']}")
        return
    checks = a.get("checks", {})
    if want in ("u8", "u16", "u32", "u64", "s32"):
        signed = want[0] == "s"
        low, high = (number(facts.get(k - 2 if signed else k, b"\0"), signed) for k in (4, 5))
        mask = number(facts[12]) if 12 in facts else None
        if "flags-mask" in checks:
            if mask != flags_mask(spec, checks["flags-mask"]):
                differ(f"{where}: mask {mask}")
            return
        if low != limit(spec, checks.get("min", 0)):
            differ(f"{where}: minimum {low}, the specification says {checks.get('min', 0)}")
        if high != limit(spec, checks.get("max", want + "-max")):
            differ(f"{where}: maximum {high}, the specification says {checks.get('max')}")
    elif want in ("binary", "nul-string"):
        longest = number(facts[7]) if 7 in facts else None
        asked = limit(spec, checks["max-len"]) if "max-len" in checks else None
        if longest != asked:
            differ(f"{where}: longest {longest}, the specification says {asked}")


def compare_kernel(spec):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    sock.bind((0, 0))
    facts = dict(attrs(ask(sock, 3, attr(2, spec["name"].encode() + b"\0"), False)[0]))
    family = number(facts[1])
    if number(facts[3]) != spec.get("version", 1):
        differ(f"version of the family: {number(facts[3])}")
    groups = [dict(attrs(g))[1].rstrip(b"\0").decode() for _, g in attrs(facts.get(7, b""))]
    if groups != [g["name"] for g in spec["mcast-groups"]["list"]]:
        differ(f"groups of the family: {groups}")
    ops = {}
    for _, data in attrs(facts[6]):
        op = dict(attrs(data))
        ops[number(op[1])] = number(op[2])
    which, policies = kernel_policy(sock, family)
    sets = {s["name"]: s for s in spec["attribute-sets"]}
    for cmd, op in enumerate(spec["operations"]["list"], 1):
        can = (2 if "do" in op else 0) | (4 if "dump" in op else 0)
        has = ops.pop(cmd, 0)
        if has & 6 != can:
            differ(f"{op['name']}: the kernel can {has & 6:#x} of do (2), dump (4); not {can:#x}")
        if has & 0x1:
            note = "needs CAP_NET_ADMIN in the kernel's eyes, too"
            print(f"# {op['name']} {note}")
        if "do" not in op:
            continue
        asked = op["do"]["request"].get("attributes", [])
        index = which.get(cmd, {}).get(1)
        policy = policies.get(index, {}) if index is not None else {}
        # attribute 0 is only there because tables start with it
        policy = {k: v for k, v in policy.items() if number(v.get(1, b"")) != 0}
        table = {i: a for i, a in enumerate(sets[op["attribute-set"]]["attributes"], 1)}
        for i in policy:
            if i not in table or table[i]["name"] not in asked:
                differ(f"{op['name']}: the kernel takes attribute {i}, the specification does not")
        for i, a in table.items():
            if a["name"] not in asked:
                continue
            if i not in policy:
                differ(f"{op['name']}: the kernel does not take {a['name']}")
            else:
                check_attribute(spec, f"{op['name']}: {a['name']}", a, policy[i])
    for cmd in ops:
        differ(f"the kernel has a command {cmd} that is not in the specification")


def attribute(spec, set_name, name):
    attributes = next(s for s in spec["attribute-sets"] if s["name"] == set_name)["attributes"]
    return next(a for a in attributes if a["name"] == name)


def spoil_name(spec):
    attribute(spec, "device", "io-opt")["name"] = "io-optimal"


def spoil_const(spec):
    next(d for d in spec["definitions"] if d["name"] == "max-depth")["value"] -= 1


def spoil_order(spec):
    ops = spec["operations"]["list"]
    ops[1], ops[2] = ops[2], ops[1]


def spoil_struct(spec):
    next(d for d in spec["definitions"] if d["name"] == "completion")["members"].pop()


def spoil_minimum(spec):
    attribute(spec, "device", "size")["checks"]["min"] = 511


def spoil_length(spec):
    attribute(spec, "queue", "completions")["checks"]["max-len"] -= 16


def spoil_signed(spec):
    attribute(spec, "chunk", "error")["checks"]["min"] += 1


def spoil_request(spec):
    spec["operations"]["list"][2]["do"]["request"]["attributes"].append("size")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    kernel = sys.argv[3:] == ["--kernel"]
    compare_header(spec, sys.argv[2])
    if kernel:
        compare_kernel(spec)
    bad = len(differences)
    print(*differences, sep="\n", end="\n" if bad else "")
    for spoil in (spoil_name, spoil_const, spoil_order, spoil_struct) + \
            ((spoil_minimum, spoil_length, spoil_signed, spoil_request) if kernel else ()):
        differences.clear()
        spoiled = copy.deepcopy(spec)
        spoil(spoiled)
        compare_header(spoiled, sys.argv[2])
        if kernel:
            compare_kernel(spoiled)
        if len(differences) <= bad:
            print(f"{spoil.__name__} was not noticed")
            bad += 1
    return 1 if bad else 0


sys.exit(main())
