#!/usr/bin/env python3
"""What a listener between the hosts of a run hears: everything without keys, and with keys nothing.

    capture_secrets.py HAWSER_WAN HAWSER HAWSER_HOSTILE

Three members reduce floats of 1.0 and synchronise a state; the lab's router writes down every packet. Without a secret all
patterns must be found: else the search itself is broken. With one, none may be. Skips (77) where a lab is not permitted.
"""

import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab_smoke import BOUND_S, SKIP, SPEC

HOSTS = 3
STEPS = 3

PATTERNS = {
    "payloads": struct.pack("<f", 1.0) * 16,
    "names of tensors": b"content",
    "names of peers": b"overheard-1",
    "addresses in control messages": b"10.77.0.2",
    "control messages": b"\xf5HWC",
    "greetings of links": b"\xf5HWG",
    "frames": b"\xf5HWF",
}


def packets_of(path):
    """The packets of a file of libpcap's format."""
    data = path.read_bytes()
    magic, = struct.unpack_from("<I", data)
    assert magic == 0xA1B2C3D4, hex(magic)
    at = 24
    # A lab that was interrupted may have written the last one in part.
    while at + 16 <= len(data):
        length, = struct.unpack_from("<I", data, at + 8)
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def payload_of(packet):
    """What TCP carries in an IPv4 packet, and for which direction of which connection."""
    header = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != 6:
        return None, b""
    begin = header + (packet[header + 12] >> 4) * 4
    return packet[12:20] + packet[header:header + 4], packet[begin:]


def said(path):
    """All that was said in each direction of each connection, in the order of sending."""
    streams = {}
    for packet in packets_of(path):
        direction, payload = payload_of(packet)
        if payload:
            streams.setdefault(direction, []).append(payload)
    return [b"".join(parts) for parts in streams.values()]


def run_members(wan, hawser, hostile, folder, capture, secret):
    spec = folder / "three.toml"
    spec.write_text(SPEC.format(top="", host="").replace("count = 2", f"count = {HOSTS}"))
    # The member ends with its standard input, which this end of a pipe keeps open.
    member = (f"mkfifo in-$HAWSER_WAN_HOST && exec {hostile} member --master $HAWSER_WAN_MASTER "
              "--name overheard-$HAWSER_WAN_HOST --address $HAWSER_WAN_ADDRESS --elements 4096 --state-bytes 65536 "
              "0<>in-$HAWSER_WAN_HOST")
    keys = ("HAWSER_SECRET_FILE", "HAWSER_INSECURE")
    environment = {key: value for key, value in os.environ.items() if key not in keys}
    if secret:
        environment["HAWSER_SECRET_FILE"] = str(secret)
    inside = folder / capture.stem
    inside.mkdir()
    running = subprocess.Popen([wan, "run", str(spec), "--timeout", str(BOUND_S), "--capture", str(capture), "--master",
                                "--hawser", hawser, "--", "sh", "-c", member], cwd=inside, env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=(inside / "errors").open("w"))
    steps = dict.fromkeys((f"[host-{host}]" for host in range(HOSTS)), 0)
    deadline = time.monotonic() + BOUND_S
    rest = b""
    while min(steps.values()) < STEPS:
        if not select.select([running.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            break
        part = os.read(running.stdout.fileno(), 65536)
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            words = line.decode(errors="replace").split()
            if f"world={HOSTS}" in words:
                steps[words[0]] += 1
    running.send_signal(signal.SIGINT)
    running.stdout.close()
    status = running.wait()
    errors = (inside / "errors").read_text()
    if status == SKIP:
        print(errors)
        sys.exit(SKIP)
    if min(steps.values()) < STEPS:
        sys.exit(f"the members did not come to {STEPS} steps, but to {steps}; status {status}\n{errors}")


def main(wan, hawser, hostile, folder):
    secret = folder / "run.secret"
    subprocess.run([hawser, "keygen", str(secret)], check=True, stdout=subprocess.DEVNULL)
    for key_file in None, secret:
        capture = folder / ("keys.pcap" if key_file else "plain.pcap")
        run_members(wan, hawser, hostile, folder, capture, key_file)
        streams = said(capture)
        found = {what for what, pattern in PATTERNS.items() if any(pattern in stream for stream in streams)}
        heard = sum(map(len, streams))
        print(f"{capture.stem}: {len(streams)} directions, {heard} bytes, found: {sorted(found) or 'nothing'}")
        if heard < STEPS * HOSTS * 4096 * 4:
            sys.exit("fewer bytes were heard than the members had to say")
        if key_file and found:
            sys.exit(f"with a secret a listener reads {sorted(found)}")
        if not key_file and found != set(PATTERNS):
            sys.exit(f"without keys a listener should read everything, but finds no {sorted(set(PATTERNS) - found)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(*sys.argv[1:4], Path(scratch))
    print("ok")
