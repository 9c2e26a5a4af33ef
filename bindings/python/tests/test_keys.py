"""Runs with keys: the secret, issued keys, roles, and an operator's orders."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from peers import BOUND_S, communicator

import hawser


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "run.secret"
    hawser.keygen(file)
    return file


@pytest.fixture
def keyed(secret: Path, tmp_path: Path) -> Iterator[hawser.Master]:
    with hawser.Master(
        "127.0.0.1:0", bootstrap_ms=200, secret_file=secret, rules_file=tmp_path / "rules"
    ) as serving:
        yield serving


def sums(address: str, keys: list[Path], **config: bool) -> list[float]:
    """What a peer for each key gets as the sum of all."""
    results: list[float] = []
    errors: list[BaseException] = []

    def peer(key: Path) -> None:
        try:
            with communicator(address, secret_file=key, min_peers=len(keys), **config) as comm:
                comm.connect()
                values = numpy.ones(70_000, numpy.float32)
                comm.all_reduce(values)
                results.append(float(values.mean()))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=peer, args=(key,), daemon=True) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
        assert not thread.is_alive(), "a peer did not end"
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("tls_same_host", [False, True])
def test_two_peers_with_keys_reduce(keyed: hawser.Master, secret: Path, tmp_path: Path, tls_same_host: bool) -> None:
    issued = tmp_path / "ada.key"
    hawser.issue_key(issued, secret_file=secret, name="ada")
    assert sums(keyed.address, [secret, issued], tls_same_host=tls_same_host) == [2.0, 2.0]


def test_who_gave_what_is_signed_and_shown(keyed: hawser.Master, secret: Path) -> None:
    with pytest.raises(hawser.InvalidArgument, match="give a secret_file"):
        communicator(keyed.address, attest=True)
    assert sums(keyed.address, [secret, secret], attest=True) == [2.0, 2.0]
    command = [sys.executable, "-m", "hawser", "attest", "--json", "--secret-file", str(secret), keyed.address]
    shown = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    (collective,) = json.loads(shown.stdout)["collectives"]
    digest = hashlib.sha256(numpy.ones(70_000, numpy.float32).tobytes()).hexdigest()
    for member in collective["members"]:
        assert (member["signed"], member["sha256"], member["largest"]) == ("yes", digest, 1.0)


def test_the_environment_names_a_key(
    keyed: hawser.Master, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAWSER_SECRET_FILE", str(secret))
    with communicator(keyed.address) as comm:
        comm.connect()
        assert comm.world_size == 1


def test_another_run_is_refused(keyed: hawser.Master, tmp_path: Path) -> None:
    other = tmp_path / "other.secret"
    hawser.keygen(other)
    with communicator(keyed.address, secret_file=other) as comm:
        with pytest.raises(hawser.MasterUnreachable, match="another run"):
            comm.connect()
    with communicator(keyed.address) as comm:
        with pytest.raises(hawser.MasterUnreachable, match="secret_file"):
            comm.connect()


def test_an_observer_cannot_join_but_asks_for_the_status(
    keyed: hawser.Master, secret: Path, tmp_path: Path
) -> None:
    file = tmp_path / "eve.key"
    key = hawser.issue_key(file, secret_file=secret, name="eve", role="observer", days=1, groups=[0, 3])
    assert key.role == hawser.Role.OBSERVER and key.name == "eve" and list(key.groups) == [0, 3]
    assert len(key.key) == 64 and key.run == hawser.key_info(secret).run and not key.is_secret
    with communicator(keyed.address, secret_file=file) as comm:
        with pytest.raises(hawser.Refused, match="eve is an observer's"):
            comm.connect()
    command = [sys.executable, "-m", "hawser", "status", keyed.address]
    shown = subprocess.run([*command, "--secret-file", str(file)], timeout=60, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert subprocess.run(command, timeout=60, capture_output=True).returncode == 1
    with pytest.raises(hawser.Refused, match="operator"):
        hawser.drain(keyed.address, secret_file=file)


def test_files_that_others_may_read_are_refused(secret: Path) -> None:
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.chmod(0o640)
    for make in (
        lambda: communicator("127.0.0.1:1", secret_file=secret),
        lambda: hawser.Master("127.0.0.1:0", secret_file=secret),
        lambda: hawser.key_info(secret),
    ):
        with pytest.raises(hawser.InvalidArgument, match="chmod 600"):
            make()


def test_key_files_are_never_overwritten(secret: Path, tmp_path: Path) -> None:
    before = secret.read_bytes()
    with pytest.raises(hawser.InvalidArgument, match="exists already"):
        hawser.keygen(secret)
    with pytest.raises(hawser.InvalidArgument, match="exists already"):
        hawser.issue_key(secret, secret_file=secret, name="ada")
    assert secret.read_bytes() == before
    with pytest.raises(hawser.InvalidArgument, match="'king'"):
        hawser.issue_key(tmp_path / "king.key", secret_file=secret, name="ada", role="king")
    with pytest.raises(hawser.InvalidArgument, match="1 to 3650 days"):
        hawser.issue_key(tmp_path / "no.key", secret_file=secret, name="ada", days=0)
    assert not (tmp_path / "no.key").exists()


def test_operators_decide_who_is_in(keyed: hawser.Master, secret: Path, tmp_path: Path) -> None:
    file = tmp_path / "ada.key"
    key = hawser.issue_key(file, secret_file=secret, name="ada").key
    with communicator(keyed.address, secret_file=file, name="ada") as comm:
        comm.connect()
        assert "1 peer was removed" in hawser.kick(keyed.address, "ada", secret_file=secret)
        with pytest.raises(hawser.Expelled, match="operator"):
            comm.wait(joiner=True)
        assert key in hawser.ban(keyed.address, key, secret_file=secret)
        assert f"deny key {key}" in (tmp_path / "rules").read_text()
        with pytest.raises(hawser.Refused, match="operator"):
            comm.connect()
        hawser.unban(keyed.address, key, secret_file=secret)
        hawser.drain(keyed.address, secret_file=secret)
        with pytest.raises(hawser.Refused, match="drain"):
            comm.connect()
        hawser.drain(keyed.address, end=True, secret_file=secret)
        comm.connect()
        assert comm.world_size == 1


def test_an_operator_admits_the_key_of_a_newcomer(keyed: hawser.Master, secret: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.key"
    key = hawser.issue_key(file, secret_file=secret, name="new", role=hawser.Role.NEWCOMER).key
    with communicator(keyed.address, secret_file=file) as comm:
        with pytest.raises(hawser.Refused, match="newcomer"):
            comm.connect()
        hawser.admit(keyed.address, key, secret_file=secret)
        comm.connect()
        assert comm.world_size == 1


def test_without_a_key_other_machines_need_insecure(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HAWSER_SECRET_FILE", "HAWSER_INSECURE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(hawser.InvalidArgument, match="secret_file"):
        hawser.Master("0.0.0.0:0")
    with pytest.raises(hawser.InvalidArgument, match="secret_file"):
        hawser.Communicator("127.0.0.1:1", listen_address="0.0.0.0")
    with hawser.Master("0.0.0.0:0", insecure=True) as master:
        assert master.address.startswith("0.0.0.0:")
    assert os.environ.get("HAWSER_INSECURE") is None
