#!/usr/bin/env python3
"""Joins and reduces in emulated networks whose NATs are drawn by a seed (docs/networking.md, docs/wan.md).

    nat_draws.py mix [--draws 20] [--seed 1]     8 hosts, the first one public, the others behind NATs of all kinds:
                                                 how many joined, and reduced with the right result
    nat_draws.py pairs [--draws 20] [--seed 1]   two hosts behind NATs with an endpoint-independent mapping, and a public
                                                 one: how many of these pairs are linked straight, and at the first try

Needs root, as hawser-wan does. --bin: where hawser and hawser-wan are (default: build/release/bin).
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HOSTS = 8
FORWARDED = 48600
BOUND_S = 90

ENDPOINT_INDEPENDENT = {
    "usual": "",
    "other ports": "keeps_ports = false",
    "restricted by address": 'keeps_ports = false\nfiltering = "address-dependent"',
    "full cone": 'keeps_ports = false\nfiltering = "endpoint-independent"',
    "hairpin": "keeps_ports = false\nhairpin = true",
    "60 s": "keeps_ports = false\nidle_s = 60",
}
KINDS = ENDPOINT_INDEPENDENT | {
    "by address": 'keeps_ports = false\nmapping = "address-dependent"',
    "symmetric": 'keeps_ports = false\nmapping = "address-and-port-dependent"',
    "symmetric, keeps ports": 'mapping = "address-and-port-dependent"',
    "outgoing only": "outgoing_only = true",
    "one port forwarded": f"outgoing_only = true\nforward_port = {FORWARDED}",
    "carrier": "keeps_ports = false",
    "home behind a carrier": "keeps_ports = false",
    "symmetric carrier": 'keeps_ports = false\nmapping = "address-and-port-dependent"',
    "lan": "keeps_ports = false\nlan = true",
}


def quoted(kind):
    return kind.replace(" ", "-").replace(",", "")


def host_of(kind):
    name = quoted(kind)
    if kind in ("carrier", "symmetric carrier"):
        return f'carrier = "{name}"'
    if kind == "home behind a carrier":
        return f'nat = true\ncarrier = "{name}"'
    return f'nat = "{name}"'


def spec_of(kinds, draw):
    text = "".join(f'[[nats]]\nname = "{quoted(kind)}"\n{KINDS[kind]}\n' for kind in sorted(set(kinds)))
    for kind in [None, *kinds]:
        text += f"[[hosts]]\nup_mbit = {draw.choice([20, 50, 200])}\ndown_mbit = {draw.choice([50, 200])}\n"
        text += "" if kind is None else host_of(kind) + "\n"
    text += f'[[paths]]\nfrom = "*"\nto = "*"\ndelay_ms = {draw.choice([5, 15, 40])}\njitter_ms = 2\nloss = 1e-4\n'
    return text


def run(binaries, kinds, draw, seed):
    """What hosts said, and whether all of them ended well."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "drawn.toml"
        spec.write_text(spec_of(kinds, draw))
        member = (f"exec {binaries}/hawser bench member --master {{master}} --world {{hosts}} --listen {{address}} "
                  "--sizes 256K --rounds 1 --verbose --name host-{i} --port $PORT")
        ports = "".join(f"test {{i}} = {i + 1} && PORT={FORWARDED}; " for i, kind in enumerate(kinds)
                        if "forwarded" in kind)
        done = subprocess.run([f"{binaries}/hawser-wan", "run", str(spec), "--seed", str(seed), "--master", "--hawser", f"{binaries}/hawser", "--timeout",
                               str(BOUND_S), "--stop-on-failure", "--", "sh", "-c", f"PORT=0; {ports}{member}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 77:
        sys.exit(done.stderr)
    return done.stdout + done.stderr, done.returncode == 0


def links_of(said):
    """How each link came to be last, by the ids of its ends."""
    ways = {}
    for host, other, way in re.findall(r"^\[host-(\d+)\].* linked: the link to host-(\d+): (.*?)(?: \[.*)?$", said,
                                       re.MULTILINE):
        pair = tuple(sorted((int(host), int(other))))
        kind = ("straight, crossed" if "at once" in way else
                "by a go-between" if "joined both" in way else "straight, dialled")
        ways[pair] = kind
    return ways


def mix(options):
    joined = reduced = 0
    straight = links = 0
    for seed in range(options.seed, options.seed + options.draws):
        draw = random.Random(seed)
        kinds = [draw.choice(sorted(KINDS)) for _ in range(HOSTS - 1)]
        said, is_right = run(options.bin, kinds, draw, seed)
        members = len(set(re.findall(r"^\[host-(\d+)\].* joined: this peer has joined", said, re.MULTILINE)))
        is_reduced = is_right and "WRONG" not in said and re.search(r"^\[host-\d\] +256.0 KiB", said, re.MULTILINE)
        joined += members == HOSTS
        reduced += bool(is_reduced)
        ways = list(links_of(said).values())
        straight += sum(way.startswith("straight") for way in ways)
        links += len(ways)
        print(f"seed {seed}: {members} of {HOSTS} joined, {'reduced' if is_reduced else 'NOT reduced'}; links: "
              f"{ways.count('straight, dialled')} dialled, {ways.count('straight, crossed')} crossed, "
              f"{ways.count('by a go-between')} by a go-between; {', '.join(kinds)}", flush=True)
        if not is_reduced and options.log_dir:
            Path(options.log_dir, f"seed-{seed}.log").write_text(said)
    print(f"{options.draws} draws: all {HOSTS} joined in {joined}, reduced in {reduced}; "
          f"{straight} of {links} links straight")
    return 0 if joined == reduced == options.draws else 1


def pairs(options):
    straight = first = 0
    for seed in range(options.seed, options.seed + options.draws):
        draw = random.Random(seed)
        kinds = [draw.choice(sorted(ENDPOINT_INDEPENDENT)) for _ in range(2)]
        said, is_right = run(options.bin, kinds, draw, seed)
        way = links_of(said).get((1, 2), "none")
        asked = len(re.findall(r"^\[host-[12]\].* punch-failed: host-[12] ", said, re.MULTILINE))
        is_straight = is_right and way.startswith("straight")
        straight += is_straight
        first += is_straight and asked == 0
        print(f"seed {seed}: {way}{'' if is_right else ', NOT reduced'}, {asked} attempts failed before; "
              f"{', '.join(kinds)}", flush=True)
        if not is_straight and options.log_dir:
            Path(options.log_dir, f"seed-{seed}.log").write_text(said)
    print(f"{options.draws} pairs: {straight} straight ({100 * straight / options.draws:.0f} %), {first} of these at the "
          f"first try ({100 * first / max(1, straight):.0f} %)")
    return 0 if straight >= 0.95 * options.draws else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["mix", "pairs"])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--log-dir", help="Keeps what hosts of failed draws said")
    options = parser.parse_args()
    options.bin = str(Path(options.bin).resolve())
    sys.exit({"mix": mix, "pairs": pairs}[options.what](options))


if __name__ == "__main__":
    main()
