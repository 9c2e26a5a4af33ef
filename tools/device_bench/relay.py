"""A slow wire without root: a relay before each of two members, through which the other one dials it."""

from __future__ import annotations

import socket
import threading
import time

CHUNK_BYTES = 128 << 10
# What the wire and its queue hold: a sender notices the rate after so much.
QUEUE_BYTES = 1 << 20


class Direction:
    """Of all connections between the two members: what one of them sends."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0

    def pass_through(self, count: int) -> None:
        """Blocks for as long as the wire takes for these bytes, and for those before them."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + count / self._bytes_per_s
            until = self._free_at
        time.sleep(max(0.0, until - time.monotonic()))


def _carry(source: socket.socket, to: socket.socket, direction: Direction) -> None:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    try:
        while count := source.recv_into(buffer):
            direction.pass_through(count)
            to.sendall(buffer[:count])
        to.shutdown(socket.SHUT_WR)
    except OSError:
        # The other end sees the break as it would without a relay.
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Relay:
    """`address`: the member's to be told to others. It must listen on 127.0.0.1 and `port`."""

    def __init__(self, member: int, towards: Direction, back: Direction) -> None:
        self.address = f"127.0.0.{2 + member}"
        self._listener = socket.create_server((self.address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._towards, self._back = towards, back
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            try:
                dialled = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                # The member does not listen yet; whoever dials tries again.
                accepted.close()
                continue
            for end in (accepted, dialled):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    end.setsockopt(socket.SOL_SOCKET, side, QUEUE_BYTES)
            pairs = ((accepted, dialled, self._towards), (dialled, accepted, self._back))
            for pair in pairs:
                threading.Thread(target=_carry, args=pair, daemon=True).start()


def relays(mbit: float) -> list[Relay]:
    """One for each of two members; both ways have that rate."""
    ways = [Direction(mbit * 1e6 / 8) for _ in range(2)]
    return [Relay(member, ways[member], ways[1 - member]) for member in range(2)]
