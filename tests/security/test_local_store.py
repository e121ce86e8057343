"""The local S3 server lets nobody in without keys, whichever of its ports is tried, and leaves nothing behind."""

import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from model_core.errors import StoreError, UserError
from model_core.store.locate import open_store
from pipelines import store_process, store_tls
from pipelines.store import Server, running_server
from pipelines.store_doors import open_doors, socket_files, tcp_doors

ROOT = Path(__file__).parent.parent.parent
pytestmark = [pytest.mark.s3, pytest.mark.slow]
Running = tuple[Server, "subprocess.Popen[bytes]"]
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "store"


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        for name in KEYS:
            patch.delenv(name, raising=False)
        with running_server(folder, "market") as (server, process):
            for name, value in server.environment().items():
                patch.setenv(name, value)
            open_store("s3://market").write("run/secret.txt", b"for the owner of the keys only")
            yield server, process


def ports_of(running: Running) -> list[int]:
    return [port for _, port in tcp_doors(running[1].pid)]


def test_it_listens_on_this_machine_only(running: Running) -> None:
    assert {address for address, _ in tcp_doors(running[1].pid)} == {"127.0.0.1"}
    assert len(ports_of(running)) >= 10


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/buckets/market/run/secret.txt"),
        ("GET", "/buckets/market/?pretty=y"),
        ("PUT", "/buckets/market/run/forged.txt"),
        ("DELETE", "/buckets/market/run/secret.txt"),
        ("GET", "/etc/iam/identity.json"),
        ("POST", "/dir/assign"),
        ("GET", "/dir/lookup?volumeId=1"),
        ("GET", "/1,01637037d6"),
        ("POST", "/1,01637037d6"),
        ("DELETE", "/1,01637037d6"),
        ("GET", "/cluster/status"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_no_port_reads_writes_or_deletes_for_a_stranger(
    running: Running, scheme: str, method: str, path: str
) -> None:
    """Filer, master and volume server: what their HTTP once gave to everybody, asked at every port there is."""
    with urllib3.PoolManager(retries=False, cert_reqs="CERT_NONE") as client:
        for port in ports_of(running):
            try:
                answer = client.request(method, f"{scheme}://127.0.0.1:{port}{path}", body=b"forged")
            except (urllib3.exceptions.HTTPError, ConnectionError):
                continue
            assert answer.status in {400, 403, 405}, f"{port}: {answer.status}"
            assert b"owner of the keys" not in answer.data
    assert list(open_store("s3://market").keys()) == ["run/secret.txt"]


def test_no_port_talks_grpc_or_http_without_a_certificate_of_the_servers_own(
    running: Running,
) -> None:
    server, process = running
    assert open_doors(process.pid, "127.0.0.1", int(server.endpoint.rpartition(":")[2]), "market") == []


@pytest.mark.parametrize("path", ["/healthz", "/status"])
def test_what_everybody_may_ask_tells_nothing(running: Running, path: str) -> None:
    answer = urllib3.request("GET", f"{running[0].endpoint}{path}", retries=False)
    assert answer.status == 200
    for word in (b"market", b"secret", running[0].access_key.encode(), b"volume"):
        assert word not in answer.data


def test_no_other_user_can_reach_its_unix_sockets(running: Running) -> None:
    files = socket_files(running[1].pid)
    assert files
    assert [path for path in files if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_what_it_keeps_is_for_its_owner_only(running: Running, folder: Path) -> None:
    """``weed`` gives one kind of file, which holds no object, a mode of its own: the folder around it is closed."""
    kept = [folder, *folder.iterdir(), *folder.rglob("*.dat")]
    assert {"data", "keys", "server.log", "market_1.dat"} <= {path.name for path in kept}
    assert [path for path in kept if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_no_key_stands_on_a_command_line(running: Running) -> None:
    server, process = running
    said = " ".join(psutil.Process(process.pid).cmdline())
    assert server.secret_key not in said
    assert server.access_key not in said


def without_any(folder: Path) -> None:
    """The settings as they were: none."""


def without_clients(folder: Path) -> None:
    """TLS, but no certificate is asked of a client."""
    store_tls.write_settings(folder)
    settings = folder / "security.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        re.sub(r"(\[https\.(?!client).*\]\ncert.*\nkey.*\n)ca.*\n", r"\1", text), encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("settings", "ways"),
    [
        (without_any, ["answers HTTP without TLS", "answers gRPC without TLS"]),
        (without_clients, ["needs no certificate"]),
    ],
)
def test_a_server_with_an_open_door_is_stopped_and_the_door_named(
    settings: Callable[[Path], None], ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(store_process, "write_settings", settings)
    monkeypatch.setattr("pipelines.store_process.subprocess.Popen", Noted)
    with (
        pytest.raises(StoreError, match="strangers get in") as refused,
        running_server(tmp_path / "store", "market"),
    ):
        pass
    for way in ways:
        assert re.search(rf"port \d+ {way}", str(refused.value))
    assert not psutil.pid_exists(started[0].pid)


def test_the_server_learns_its_keys_and_nothing_else_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``weed`` takes a variable for more than its file: these would take the certificates away."""
    for name in ("WEED_GRPC_CA", "WEED_HTTPS_FILER_CA", "WEED_HTTPS_MASTER_CERT", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "")
    with running_server(tmp_path / "store", "market") as (_, process):
        known = set(psutil.Process(process.pid).environ())
    assert known == {"PATH", "HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}


def test_sigterm_ends_it_with_all_its_children_ports_and_sockets(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "store", "--folder", str(tmp_path / "store"), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline().startswith("S3 server at ")
        children = psutil.Process(serving.pid).children(recursive=True)
        ports, files = tcp_doors(serving.pid), socket_files(serving.pid)
        assert children
        assert ports
        assert files
        serving.send_signal(signal.SIGTERM)
        serving.communicate()
    assert serving.returncode == 128 + signal.SIGTERM
    assert [child for child in children if child.is_running()] == []
    assert [path for path in files if path.exists()] == []
    listening = {
        tuple(found.laddr) for found in psutil.net_connections("tcp") if found.status == psutil.CONN_LISTEN
    }
    assert listening.isdisjoint(ports)


def test_after_sigkill_of_its_command_the_server_is_as_closed_as_before(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "store", "--folder", str(tmp_path / "store"), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        told = re.search(r"at http://127\.0\.0\.1:(\d+), bucket (\S+),", serving.stdout.readline())
        assert told is not None
        (server,) = psutil.Process(serving.pid).children()
        serving.kill()
        serving.communicate()
    try:
        assert server.is_running()
        assert len(tcp_doors(server.pid)) >= 10
        assert open_doors(server.pid, "127.0.0.1", int(told[1]), told[2]) == []
    finally:
        server.terminate()
        server.wait(60)


def test_a_folder_where_others_may_write_is_refused_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with (
        pytest.raises(UserError, match=r"can be written by others \(mode 777\).*chmod 700"),
        running_server(tmp_path, "market"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
