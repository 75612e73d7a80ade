"""What stands in the way of the viewer is said in one sentence, with the way out."""

from __future__ import annotations

import socket
import webbrowser

import pytest

from medfm_core.cli import main
from medfm_core.errors import ResourceError
from medfm_core.viewer import serving


def test_a_missing_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(serving, "find_spec", lambda name: None if name.startswith("trame") else object())
    with pytest.raises(ResourceError, match=r"trame_slicer.*pip install 'medfm\[view\]'"):
        serving.check_packages()
    assert main(["view", str(tmp_path)]) == 3
    assert "pip install 'medfm[view]'" in capsys.readouterr().err


def test_a_busy_port_is_refused_and_zero_finds_a_free_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(serving, "find_spec", lambda name: object())
    with socket.socket() as taken:
        taken.bind((serving.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"port {port}"):
            serving.free_port(port)
        assert main(["view", str(tmp_path), "--port", str(port)]) == 3
        assert "--port 0" in capsys.readouterr().err
        assert serving.free_port(0) != port


def test_no_result_is_an_error_of_the_input(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(serving, "find_spec", lambda name: object())
    assert main(["view", str(tmp_path), "--port", "0"]) == 2
    assert "medfm analyze --out" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "70000", "x"])
def test_a_port_that_is_none_is_refused(port, capsys):
    assert main(["view", "result", f"--port={port}"]) == 2
    assert "no port" in capsys.readouterr().err


def test_no_browser_is_no_failure(monkeypatch):
    def none(address):
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "open", none)
    assert not serving.open_browser("http://127.0.0.1:1/")
