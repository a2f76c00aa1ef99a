"""`security.audit` against the running service: it passes as it is meant to be run, and finds each control switched off."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import uvicorn

from runbook.errors import TaskFailed
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.service.api import Api
from runbook.service.app import create_app
from runbook.service.classifier import Runtime
from runbook.service.metrics import Metrics
from runbook.service.settings import read_settings
from tests.service import running_service, write_env
from tests.serving import site

PAGE = "https://app.example.com"
SPEC = Registry().spec("security.audit")
SHORT = "6f1d0c9be2a74853a1b0c2d3"

# Each setting of the env file that switches a control off, and the only controls that do not hold then.
OFF = {
    "nothing": ({}, set()),
    "short key": ({"API_KEY": SHORT, "API_KEY_MIN_BYTES": 0}, {"key_length"}),
    "key of one character": ({"API_KEY": "a" * 64, "API_KEY_MIN_BYTES": 0}, {"key_length"}),
    "no key asked for": ({"API_KEY_REQUIRED": "off"}, {"key_missing", "key_wrong"}),
    "cors for all": ({"CORS_ALLOW_ORIGINS": "*"}, {"cors"}),
    "cors for a look-alike": ({"CORS_ALLOW_ORIGINS": f"{PAGE},{PAGE}.audit.invalid"}, {"cors"}),
    "cors for nobody": ({"CORS_ALLOW_ORIGINS": ""}, {"cors"}),
    "size": ({"MAX_UPLOAD_MB": 0}, {"upload_size"}),
    "larger size": ({"MAX_UPLOAD_MB": 50}, {"upload_size"}),
    "pixels": ({"MAX_PIXELS": 0}, {"upload_pixels"}),
    "extensions": ({"ALLOWED_EXTENSIONS": "*"}, {"upload_extension"}),
    "content types": ({"ALLOWED_CONTENT_TYPES": "*"}, {"upload_type"}),
    "formats": ({"ALLOWED_FORMATS": "*"}, {"upload_content"}),
    "no images at all": ({"ALLOWED_FORMATS": "bmp"}, {"upload_taken"}),
}


def audited(url, env_file, **more):
    host = LocalHost(now=datetime.now(UTC), cwd=env_file.parent, env={}, run_id="audit")
    try:
        want = SPEC.params(url=url, env_file=str(env_file), origins=[PAGE], **more)
        return SPEC.function(want, host)["controls"]
    except TaskFailed as error:
        if "do not hold" not in error.message:
            raise
        return error.data["controls"]
    finally:
        host.close()


def faults(controls):
    return {name for name, said in controls.items() if said}


@contextmanager
def served(model, env_file):
    """Serve the application as its settings say, on a port of its own, without the start of another process."""
    settings, _ = read_settings(env_file)
    api = Api(model, settings, Runtime(), Metrics())
    api.start()
    server = uvicorn.Server(uvicorn.Config(create_app(api), port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("off", OFF)
def test_each_control_that_is_off_is_found(tmp_path, digits, off):
    changed, wanted = OFF[off]
    env_file = tmp_path / ".env"
    write_env(env_file, **{"CORS_ALLOW_ORIGINS": PAGE, **changed})
    with served(digits.good, env_file) as url:
        found = audited(url, env_file)
    assert faults(found) == wanted, found


def test_the_service_as_it_is_run(tmp_path, digits):
    env_file, log = tmp_path / ".env", tmp_path / "api.log"
    key = write_env(env_file, CORS_ALLOW_ORIGINS=PAGE)
    with running_service(digits.good, env_file, log=log) as service:
        assert faults(audited(service.url, env_file)) == set()
        env_file.chmod(0o640)
        assert faults(audited(service.url, env_file)) == {"env_file"}
        env_file.chmod(0o600)
        write_env(env_file, CORS_ALLOW_ORIGINS=PAGE)
        assert faults(audited(service.url, env_file)) == {"key_right"}
        env_file.write_text("X=1\n")
        assert faults(audited(service.url, env_file)) == {"key_length", "key_right"}
    text = log.read_text()
    assert key not in text
    assert text.count("/batch") > 4
    assert "reloaded" not in text


def test_a_service_that_takes_no_images(tmp_path):
    """A small server that refuses keys and origins as it should; uploads are not tried."""

    def keyed(asked):
        return (422, {}) if asked.headers.get("x-api-key") == key else (401, {})

    env_file = tmp_path / ".env"
    key = write_env(env_file)
    allowed = {"Access-Control-Allow-Origin": PAGE}  # to everybody the same: a browser of another page believes it not
    routes = {"POST /batch": keyed, "POST /reload": keyed}
    routes |= {"OPTIONS /predict": (200, {}, allowed), "GET /health": (200, {}, allowed)}
    with site(routes) as small:
        assert faults(audited(small.url, env_file, uploads=False)) == set()
        assert "upload_taken" in faults(audited(small.url, env_file))
        small.routes["POST /batch"] = lambda asked: (
            (422, {}) if asked.headers.get("x-api-key", "")[:8] == key[:8] else (401, {})
        )
        assert faults(audited(small.url, env_file, uploads=False)) == {"key_wrong"}
        assert not [each for each in small.asked if each.method not in ("POST", "GET", "OPTIONS")]
