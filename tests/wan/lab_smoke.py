#!/usr/bin/env python3
"""Runs hawser-wan for real: namespaces, devices, kernel TCP. Skips (77) where that is not permitted.

    lab_smoke.py HAWSER_WAN CASE [HAWSER]   CASE: transfer, statuses, nat, kill, timeout, exec; plan, optimize and punch with HAWSER
"""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIP = 77
BOUND_S = 120

SPEC = """
summary = "two hosts for tests"
{top}
[[hosts]]
count = 2
up_mbit = 200
down_mbit = 200
{host}
[[paths]]
from = "*"
to = "*"
delay_ms = 5
"""

# Host 0 listens and counts, host 1 sends; both end by themselves. The listener waits in the backlog, the dialler
# tries until there is one.
TRANSFER = """
import os, socket, sys
me, addresses = int(os.environ["HAWSER_WAN_HOST"]), os.environ["HAWSER_WAN_ADDRESSES"].split(",")
assert os.environ["HAWSER_WAN_ADDRESS"] == addresses[me] == sys.argv[1]
if me == 0:
    with socket.create_server((addresses[0], 4000)) as server:
        connection, peer = server.accept()
        assert peer[0] == addresses[1], peer
        data = b"".join(iter(lambda: connection.recv(65536), b""))
        assert data == bytes(range(256)) * 4096
        print("got", len(data))
else:
    while True:
        try:
            connection = socket.create_connection((addresses[0], 4000), timeout=60)
            break
        except ConnectionRefusedError:
            pass
    connection.sendall(bytes(range(256)) * 4096)
"""

# Host 0 is behind a NAT: it reaches host 1, which sees its outer address and does not reach it. UDP to a port where
# nobody is brings an ICMP error, which finds its way back. Then host 2, behind another NAT, and host 0 dial each other at once
# from the ports that their NATs show, by way of what host 1 has seen.
NAT = """
import os, select, socket, time
me, addresses = int(os.environ["HAWSER_WAN_HOST"]), os.environ["HAWSER_WAN_ADDRESSES"].split(",")
inside = os.environ["HAWSER_WAN_ADDRESS"]

def bound():
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((inside, 5000))
    return one

def dialling(to):
    while True:
        one = bound()
        try:
            one.connect(to)
            return one
        except ConnectionRefusedError:
            one.close()

def meet(control):
    line = control.makefile().readline().split()
    other = (line[0], int(line[1]))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        one = bound()
        one.setblocking(False)
        one.connect_ex(other)
        if select.select([], [one], [], 0.25)[1] and one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            return "met"
        one.close()
    return "did not meet"

if me == 1:
    with socket.create_server((inside, 4001)) as server:
        connections = [server.accept() for _ in range(2)]
    connections.sort(key=lambda one: addresses.index(one[1][0]))
    (first, seen_first), (second, seen_second) = connections
    assert [seen_first[0], seen_second[0]] == [addresses[0], addresses[2]], connections
    try:
        socket.create_connection((addresses[0], 4000), timeout=1)
        raise SystemExit("came in")
    except TimeoutError:
        pass
    first.sendall(b"%s %d\\n" % (seen_second[0].encode(), seen_second[1]))
    second.sendall(b"%s %d\\n" % (seen_first[0].encode(), seen_first[1]))
    first.recv(1), second.recv(1)
else:
    assert inside.startswith("192.168.77."), inside
    with socket.create_server((inside, 4000)):
        control = dialling((addresses[1], 4001))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(10)
            udp.connect((addresses[1], 9))
            udp.send(b"x")
            try:
                udp.recv(1)
            except ConnectionRefusedError:
                print("refused by ICMP", flush=True)
        print(meet(control), flush=True)
"""


def lab(binary, *arguments, **options):
    done = subprocess.run([binary, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=BOUND_S, **options)
    if done.returncode == SKIP:
        print(done.stderr)
        sys.exit(SKIP)
    return done


def spec_file(folder, top="", host=""):
    path = Path(folder) / "test.toml"
    path.write_text(SPEC.format(top=top, host=host))
    return str(path)


def expect(condition, done):
    if not condition:
        sys.exit(f"status {done.returncode}\n{done.stdout}\n{done.stderr}")


def transfer(binary, folder):
    script = Path(folder) / "transfer.py"
    script.write_text(TRANSFER)
    for control in "reno", None:
        chosen = ["--cc", control] if control else []
        done = lab(binary, "run", spec_file(folder), "--timeout", "60", "--log-dir", f"{folder}/logs", *chosen, "--",
                   sys.executable, str(script), "{address}")
        expect(done.returncode == 0 and "[host-0] got 1048576" in done.stdout, done)
        expect(Path(folder, "logs", "host-0.log").read_text() == "got 1048576\n", done)
    done = lab(binary, "check", spec_file(folder), "--seconds", "0.5", "--cc", "reno")
    expect(done.returncode == 0 and ", reno," in done.stdout and "everybody to everybody" in done.stdout, done)


def statuses(binary, folder):
    """The worst exit status; the last line without a newline; the command that is not there; bad specs."""
    spec = spec_file(folder)
    done = lab(binary, "run", spec, "--", "sh", "-c", "printf 'last {i}'; exit $((3 * {i}))")
    expect(done.returncode == 3 and "[host-1] last 1\n" in done.stdout, done)
    done = lab(binary, "run", spec, "--first", "exit 9", "--", "true")
    expect(done.returncode == 9, done)
    done = lab(binary, "run", spec, "--", "/no/such/command")
    expect(done.returncode == 127, done)
    done = lab(binary, "run", spec, "--cc", "nonsense", "--", "true")
    expect(done.returncode == 64 and "nonsense" in done.stderr, done)
    done = lab(binary, "run", "no-such-spec", "--", "true")
    expect(done.returncode == 64 and "hawser-wan list" in done.stderr, done)
    done = lab(binary, "run", spec_file(folder, top='[sysctls]\n"net.ipv4.nonsense" = "1"'), "--", "true")
    expect(done.returncode not in (0, SKIP) and "net.ipv4.nonsense" in done.stderr, done)


def nat(binary, folder):
    """Addresses and ports are translated; a simultaneous open gets through NATs that show one port to all, only these."""
    script = Path(folder) / "nat.py"
    script.write_text(NAT)
    kinds = {"open": 'mapping = "endpoint-independent"\nkeeps_ports = false',
             "symmetric": 'mapping = "address-and-port-dependent"\nkeeps_ports = false',
             "shut": "outgoing_only = true"}
    for name, kind in kinds.items():
        path = Path(folder) / "nat.toml"
        top = f'[[nats]]\nname = "kind"\n{kind}\n'
        hosts = "".join(f"[[hosts]]\nup_mbit = 9\ndown_mbit = 9\n{one}\n" for one in ('nat = "kind"', "", 'nat = "kind"'))
        path.write_text(top + hosts + '[[paths]]\nfrom = "*"\nto = "*"\ndelay_ms = 5\n')
        done = lab(binary, "run", str(path), "--timeout", "60", "--", sys.executable, str(script))
        expect(done.returncode == 0 and done.stdout.count("refused by ICMP") == 2, done)
        expect(done.stdout.count("] met") == (2 if name == "open" else 0), done)
        expect(done.stdout.count("did not meet") == (0 if name == "open" else 2), done)


def timeout(binary, folder):
    """A command that ignores SIGTERM, and its children, are ended nevertheless."""
    done = lab(binary, "run", spec_file(folder), "--timeout", "1", "--", "sh", "-c",
               "trap '' TERM; (trap '' TERM; exec tail -f /dev/null) & while :; do wait; done")
    expect(done.returncode == 137 and "still run" in done.stderr, done)


def plan(binary, folder):
    """Members plan from what they measured of their links: regions are found, and results are right.

    Which plan is taken follows from how busy the machine is: that is for tools/bench_wan.sh, and for the planner's tests.
    Calls of 8 MiB end before they fill a way of 90 ms: in three of eight runs no rate was known after five of them.
    """
    hawser = sys.argv[3]
    done = lab(binary, "run", "two-regions", "--timeout", "100", "--master", "--hawser", hawser, "--", hawser, "bench",
               "member", "--master", "{master}", "--world", "{hosts}", "--listen", "{address}", "--sizes", "32M",
               "--rounds", "4")
    rows = [line for line in done.stdout.splitlines() if line.startswith("[host-") and " MiB " in line]
    expect(done.returncode == 0 and len(rows) == 4, done)
    expect("WRONG" not in done.stdout + done.stderr, done)
    expect(any("hierarchical (2 regions)" in row for row in rows[2:]), done)
    expect(all(" predicted" in row for row in rows[2:]), done)


def optimize(binary, folder):
    """Probes between hosts: all links are known afterwards, and nothing goes wrong."""
    hawser = sys.argv[3]
    spec = spec_file(folder).replace("test.toml", "four.toml")
    Path(spec).write_text(SPEC.format(top="", host="").replace("count = 2", "count = 4"))
    done = lab(binary, "run", spec, "--timeout", "100", "--master", "--hawser", hawser, "--", hawser, "bench",
               "member", "--master", "{master}", "--world", "{hosts}", "--listen", "{address}", "--sizes", "1M",
               "--rounds", "2", "--optimize-topology")
    said = re.search(r"optimize-topology: \d+ ms .* (\d+) links measured, .* (\d+) let nothing through", done.stdout)
    expect(done.returncode == 0 and said is not None, done)
    # A machine that is very busy may see nothing in time.
    expect(int(said[1]) + int(said[2]) == 12 and int(said[1]) > 0, done)
    rows = re.findall(r"^\[host-\d\]   [0-3] .*p", done.stdout, re.MULTILINE)
    expect(len(rows) >= 1 and "Mbit/s" in done.stdout, done)
    expect(" predicted" in done.stdout, done)


def punch(binary, folder):
    """Two members behind NATs that show one port to all are linked straight, in plain and with keys: both dial at once."""
    hawser = sys.argv[3]
    spec = Path(folder) / "punch.toml"
    spec.write_text('[[nats]]\nname = "cone"\nkeeps_ports = false\n[[hosts]]\nup_mbit = 50\ndown_mbit = 50\n'
                    '[[hosts]]\ncount = 2\nup_mbit = 50\ndown_mbit = 50\nnat = "cone"\n'
                    '[[paths]]\nfrom = "*"\nto = "*"\ndelay_ms = 15\n')
    secret = Path(folder) / "run.secret"
    subprocess.run([hawser, "keygen", str(secret)], check=True, capture_output=True)
    for environment in {}, {"HAWSER_SECRET_FILE": str(secret)}:
        done = lab(binary, "run", str(spec), "--timeout", "60", "--master", "--hawser", hawser, "--", hawser, "bench",
                   "member", "--master", "{master}", "--world", "{hosts}", "--listen", "{address}", "--sizes", "256K",
                   "--rounds", "1", "--verbose", "--name", "host-{i}", env=os.environ | environment)
        expect(done.returncode == 0 and "WRONG" not in done.stdout, done)
        for here, there in (1, 2), (2, 1):
            ways = re.findall(rf"^\[host-{here}\].* linked: the link to host-{there}: (.*?) \[", done.stderr, re.MULTILINE)
            expect(ways and "both have dialled at once" in ways[-1], done)


def execute(binary, folder):
    """One more command in a host of a lab that runs."""
    up = "echo up; read line < go; echo $line"
    os.mkfifo(Path(folder) / "go")
    running = subprocess.Popen([binary, "run", spec_file(folder), "--timeout", "60", "--first", up, "--", "true"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               cwd=folder)
    try:
        line = running.stdout.readline()
        if line != "[host-0] up\n":
            error = running.communicate(timeout=BOUND_S)[1]
            print(error)
            sys.exit(SKIP if running.returncode == SKIP else f"host 0 said {line!r}: {error}")
        chosen = ["--lab", str(running.pid)]
        done = lab(binary, "exec", "1", *chosen, "--", "sh", "-c", "echo {i} {address} {hosts} {master} $HAWSER_WAN_HOST")
        expect(done.returncode == 0 and done.stdout == "1 10.77.0.2 2 10.77.0.1:48500 1\n", done)
        done = lab(binary, "exec", "0", *chosen, "--", "sh", "-c", "echo through > go; exit 5", cwd=folder)
        expect(done.returncode == 5, done)
        done = lab(binary, "exec", "2", *chosen, "--", "true")
        expect(done.returncode == 64 and "hosts 0 to 1" in done.stderr, done)
        done = lab(binary, "exec", "0", "--lab", str(os.getpid()), "--", "true")
        expect(done.returncode == 64 and "runs no lab" in done.stderr, done)
        said, error = running.communicate(timeout=BOUND_S)
        if running.returncode != 0 or said != "[host-0] through\n":
            sys.exit(f"status {running.returncode}\n{said}\n{error}")
    finally:
        running.kill()
        running.wait()


def of_session(session):
    """The processes of a session that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def kill(binary, folder):
    """SIGKILL of the tool in the middle of a run leaves no process, not even of those that left the session."""
    command = "setsid sh -c 'echo up; exec tail -f /dev/null' & setsid -w tail -f /dev/null"
    running = subprocess.Popen([binary, "run", spec_file(folder), "--", "sh", "-c", command],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    said = b""
    deadline = time.monotonic() + BOUND_S
    up = [b"[host-0] up\n", b"[host-1] up\n"]
    # Unbuffered: select sees nothing of what a buffer has swallowed already.
    while not all(line in said for line in up):
        if not select.select([running.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            break
        part = os.read(running.stdout.fileno(), 4096)
        if not part:
            break
        said += part
    if not all(line in said for line in up):
        running.kill()
        error = running.stderr.read()
        print(error)
        sys.exit(SKIP if running.wait() == SKIP else f"the hosts did not start: {error}")
    namespaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in of_session(running.pid)}
    if len(namespaces) != 3:
        sys.exit(f"expected the tool's network and one per host, found {namespaces}")
    namespaces.discard(os.readlink("/proc/self/ns/net"))
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    # The kernel ends them one after the other: each look waits for the end of one that still lives.
    while left := of_session(running.pid) + in_namespaces(namespaces):
        if time.monotonic() > deadline:
            sys.exit(f"still alive: {left}")
        wait_for_end(left[0], deadline)
    running.stdout.close()
    running.stderr.close()


def in_namespaces(namespaces):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "ns" / "net") in namespaces:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def wait_for_end(pid, deadline):
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [], max(0, deadline - time.monotonic()))
    finally:
        os.close(handle)


if __name__ == "__main__":
    cases = {"transfer": transfer, "statuses": statuses, "nat": nat, "timeout": timeout, "kill": kill, "exec": execute, "plan": plan,
             "optimize": optimize, "punch": punch}
    with tempfile.TemporaryDirectory() as scratch:
        cases[sys.argv[2]](sys.argv[1], scratch)
    print("ok")
