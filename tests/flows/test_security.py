"""What must not get out, and who must not get in."""

import base64
import json
import socket
import urllib.error
import urllib.request

import pytest

from flows.server import reserved_port, stop, wait_until_up
from tasks.errors import UserError

SECRETS = {
    "OPENAI_API_KEY": "sk-planted-1", "ANTHROPIC_API_KEY": "sk-planted-2", "HF_TOKEN": "hf_planted-3",
    "MLFLOW_TRACKING_PASSWORD": "planted-4", "PREFECT_API_AUTH_STRING": "me:planted-5",
}  # fmt: skip


def test_planted_keys_are_in_no_file_and_no_database_of_runs_that_ended_well_and_badly(tmp_path, rlmec):
    said = ""
    for more, wanted in ([], 0), (["--set", "evaluate.device=nonsense"], 1):
        code, output, errors = rlmec(tmp_path, "run", "smoke", "--recipe", "sft", *rlmec.small, *more, **SECRETS)
        assert code == wanted, errors
        said += output + errors
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert {"mlflow.db", "prefect.db", "error.txt", "server.log"} <= {path.name for path in files}
    for secret in SECRETS.values():
        found = [path for path in files if secret.rpartition(":")[2].encode() in path.read_bytes()]
        assert found == [], secret
        assert secret not in said


def test_an_address_with_a_password_is_refused_because_addresses_are_shown(monkeypatch, tmp_path):
    from flows.store import store_uri

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:planted@mlflow.example.org")
    with pytest.raises(UserError, match="holds a password: take it out") as error:
        store_uri(tmp_path)
    assert "planted" not in str(error.value)


@pytest.fixture(scope="module")
def page(tmp_path_factory, rlmec):
    """The address of `rlmec ui` on a store of its own."""
    place = tmp_path_factory.mktemp("ui")
    with reserved_port() as port, rlmec.start(place, "ui", "--port", str(port)) as process:
        for line in process.stderr:
            if line.startswith("MLflow is on"):
                break
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(30)


def status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_mlflow_refuses_a_foreign_host(page):
    url = f"{page}/api/2.0/mlflow/experiments/get-by-name?experiment_name=rlmec"
    assert status(url) == 200
    assert status(url, Host="evil.example.org") == 403


def test_the_ui_listens_on_this_machine_alone(page):
    import psutil

    port = int(page.rpartition(":")[2])
    listening = {one.laddr.ip for one in psutil.net_connections("inet") if one.laddr.port == port and not one.raddr}
    assert listening == {"127.0.0.1"}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    """The address of a Prefect server that listens beyond this machine, with a password."""
    from flows.serve import PASSWORD, standing_log, start_server

    place = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch, reserved_port() as port:
        patch.setenv("RLMEC_HOME", str(place))
        patch.setenv("PREFECT_HOME", str(place / "prefect"))
        patch.setenv(PASSWORD, "me:planted")
        server = start_server("0.0.0.0", port)
        try:
            wait_until_up(server, port, standing_log())
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(server)


def test_prefect_beyond_this_machine_asks_for_the_password(open_server):
    right, wrong = (base64.b64encode(text).decode() for text in (b"me:planted", b"me:guessed"))
    url = f"{open_server}/api/version"
    assert [status(url), status(url, Authorization=f"Basic {wrong}")] == [401, 401]
    assert status(url, Authorization=f"Basic {right}") == 200


def test_prefects_page_asks_the_server_that_it_came_from(open_server):
    """Left alone it would ask port 4200 of the reader's own machine."""
    with urllib.request.urlopen(f"{open_server}/ui-settings", timeout=30) as response:
        found = json.load(response)
    assert found["api_url"] == f"http://{socket.gethostname()}:{open_server.rpartition(':')[2]}/api"


def test_no_page_of_another_site_may_call_prefect(open_server):
    def allowed(origin):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        request = urllib.request.Request(f"{open_server}/api/flows/filter", headers=asked, method="OPTIONS")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.headers.get("Access-Control-Allow-Origin")
        except urllib.error.HTTPError as error:
            return error.headers.get("Access-Control-Allow-Origin")

    own = f"http://{socket.gethostname()}:{open_server.rpartition(':')[2]}"
    assert allowed(own) == own
    assert allowed("https://evil.example.org") is None


def test_a_manifest_that_names_a_path_outside_is_named(bench):
    from flows.digests import DamagedError
    from flows.store import open_store

    bench.go()
    run_id = bench.stage("train_policy")["run_id"]
    path = bench.artifact(run_id, "manifest.json")
    path.write_text(json.dumps({"model": {"../../../elsewhere": "0"}}))
    with pytest.raises(DamagedError, match="names '../../../elsewhere', which lies outside of the run's artifacts"):
        open_store().stage_run(run_id)
