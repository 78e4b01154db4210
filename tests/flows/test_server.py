"""Prefect's short-lived server: two may be wanted at once, and neither outlives who asked for it."""

import fcntl
import socket
import subprocess
import sys

import psutil
import pytest

from flows.home import environment_of
from flows.server import HOST, database_lock, reserved_port, started, wait_until_up

PROGRAM = """
from flows.home import quieten
quieten()
from flows.server import prefect_server
with prefect_server():
    print("up", flush=True)
    input()
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment_of(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def working_on(folder):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RLMEC_HOME") == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_two_servers_start_at_once_in_a_new_folder_and_leave_no_process(tmp_path):
    users = [start(tmp_path), start(tmp_path)]
    assert [user.stdout.readline() for user in users] == ["up\n", "up\n"]
    users[0].communicate("done\n")
    assert users[0].returncode == 0
    users[1].kill()  # its server learns of that from its standard input
    users[1].communicate()
    _, alive = psutil.wait_procs(working_on(tmp_path), timeout=10)
    assert alive == []


def test_a_server_that_ends_at_once_leaves_its_last_words_and_the_place_of_its_log(tmp_path):
    log = tmp_path / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen([sys.executable, "-c", "raise SystemExit('database is locked')"], stderr=file)
    server.wait()
    with pytest.raises(RuntimeError) as error:
        wait_until_up(server, 1, log)
    assert str(error.value) == f"Prefect's server ended with code 1: database is locked (all of it in {log})"


def test_nobody_else_can_take_the_port_before_the_server_listens(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with started(tmp_path / "server.log") as (port, server), socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))
        wait_until_up(server, port, tmp_path / "server.log")


def test_a_reserved_port_is_free_for_the_server_that_is_told_and_for_nobody_else():
    with reserved_port() as port, socket.socket() as other, socket.socket() as server:
        with pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
        server.bind((HOST, port))
        server.listen()


def test_two_stores_with_one_prefect_home_make_its_database_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path / "one"))
    with database_lock(), (tmp_path / "prefect" / ".lock").open() as theirs, pytest.raises(BlockingIOError):
        fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
