"""Checks the crates of Cargo.lock against deny.toml: every licence is allowed, and crates of which
there must be one version have one. It does what `cargo deny check bans licenses` does with that file,
without the minutes that cargo-deny takes to compile; docs/decisions/0009 says more."""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def allowed_by(expression, allowed):
    """Whether an SPDX expression is met by the allowed licences. AND binds tighter than OR."""
    words = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    words = ["OR" if word == "/" else word for word in words]

    def alternatives(at):
        met, at = together(at)
        while at < len(words) and words[at] == "OR":
            other, at = together(at + 1)
            met = met or other
        return met, at

    def together(at):
        met, at = one(at)
        while at < len(words) and words[at] == "AND":
            other, at = one(at + 1)
            met = met and other
        return met, at

    def one(at):
        if words[at] == "(":
            met, at = alternatives(at + 1)
            return met, at + 1
        name, at = words[at].removesuffix("+"), at + 1
        if at < len(words) and words[at] == "WITH":
            name, at = f"{name} WITH {words[at + 1]}", at + 2
        return name in allowed, at

    met, at = alternatives(0)
    assert at == len(words), f"cannot read the licence {expression!r}"
    return met


def wrong_licences(packages, licenses):
    exceptions = {entry["crate"]: entry["allow"] for entry in licenses.get("exceptions", [])}
    for package in packages:
        allowed = {*licenses["allow"], *exceptions.get(package["name"], [])}
        if not package["license"]:
            yield f"{package['name']} {package['version']} names no licence: look, then add an exception to deny.toml"
        elif not allowed_by(package["license"], allowed):
            yield (
                f"{package['name']} {package['version']} is under {package['license']}: "
                "do without it, or allow it in deny.toml and say why"
            )


def doubled(packages, bans):
    versions = defaultdict(set)
    for package in packages:
        versions[package["name"]].add(package["version"])
    for ban in bans["deny"]:
        found = sorted(versions[ban["crate"]])
        if ban.get("deny-multiple-versions") and len(found) > 1:
            yield (
                f"{ban['crate']} is there in {len(found)} versions ({', '.join(found)}): "
                "`cargo tree -d` shows who asks for which; a second copy is a second set of types"
            )
        if not found:
            yield f"{ban['crate']} is in deny.toml and no dependency: remove the line"


def main():
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = [package for package in metadata["packages"] if package["source"]]
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    faults = [*wrong_licences(packages, rules["licenses"]), *doubled(packages, rules["bans"])]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} crates, {len(faults)} to mend")
    sys.exit(bool(faults))


assert allowed_by("(MIT OR Apache-2.0) AND Unicode-3.0", {"MIT", "Unicode-3.0"})
assert not allowed_by("(MIT OR Apache-2.0) AND Unicode-3.0", {"MIT"})
assert not allowed_by("MIT AND GPL-3.0 OR BSL-1.0", {"MIT"})
assert allowed_by("Unlicense/MIT", {"MIT"})

if __name__ == "__main__":
    main()
