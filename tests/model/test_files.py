"""A model's name is a folder, a file or a hub id, and only a hub id is requested from the hub."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from megabase.errors import InputError
from megabase.model.files import find_model
from megabase.model.load import load_classifier, save
from tests import toys

ASK = """
import json, sys, time
from megabase.errors import InputError
from megabase.model.files import find_model
answers = {}
for name in sys.argv[1:]:
    try:
        find_model(name)
    except InputError as error:
        answers[name] = str(error)
print(json.dumps([answers, sorted({"torch", "transformers"} & set(sys.modules))]))
"""
PATHS = ("modle", "./owner/name", "/owner/name", "a/b/c", "~/name", "owner/w.ckpt", "here/name")


@pytest.fixture
def busy_hub():
    """Run a hub that always says it is too busy, and give its address and what it was asked."""
    asked = []

    class Busy(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(503)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Busy)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_path_never_reaches_the_hub_and_a_hub_id_does_once(tmp_path, busy_hub):
    address, asked = busy_hub
    (tmp_path / "here").mkdir()
    environment = os.environ | {
        "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "cache"),
    }  # fmt: skip
    command = [sys.executable, "-c", ASK, *PATHS, "owner/name"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers, imported = json.loads(done.stdout)
    assert [name for name in PATHS if "no model folder or file" not in answers[name]] == []
    assert "the hub cannot be reached (HTTP status 503)" in answers["owner/name"]
    of_models = [path for path in asked if not path.startswith("/api/")]
    assert of_models == ["/owner/name/resolve/main/config.json"]
    assert imported == []


@pytest.mark.parametrize("load", [find_model, load_classifier])
def test_a_mistyped_folder_names_what_is_nearly_so(tmp_path, load):
    save(toys.model(), tmp_path / "ecoli-model")
    with pytest.raises(InputError, match="has no 'ecoli-modle'; did you mean 'ecoli-model'"):
        load(str(tmp_path / "ecoli-modle"))
    with pytest.raises(InputError, match=r"has no 'nowhere' \(the name of a hub model"):
        load(str(tmp_path / "nowhere" / "model"))


def test_a_file_is_a_released_checkpoint_next_to_its_configuration(tmp_path):
    (tmp_path / "weights.ckpt").touch()
    with pytest.raises(InputError, match=r"no config\.json"):
        find_model(str(tmp_path / "weights.ckpt"))
    (tmp_path / "config.json").write_text("{}")
    found = find_model(str(tmp_path / "weights.ckpt"))
    assert (found.folder, found.checkpoint) == (str(tmp_path), tmp_path / "weights.ckpt")
