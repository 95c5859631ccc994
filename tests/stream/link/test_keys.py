"""Keys in their folder: private, complete, and read again as they were written."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from smartca.errors import FileError
from smartca.stream.link.keys import ENVIRONMENT, KeyProblem, KeyRing, check_key, usual_folder


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


def test_the_pair_is_made_once(ring: KeyRing) -> None:
    assert not ring.has_own
    assert ring.own() == ring.own() and ring.has_own
    assert check_key(ring.own().public.decode()) == ring.own().public
    before = ring.own()
    assert ring.renew() != before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_nobody_else_may_read_them(ring: KeyRing) -> None:
    ring.own()
    ring.store("allowed", "or-1", KeyRing(ring.folder / "other").own().public)
    for folder in (ring.folder, ring.folder / "allowed"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((ring.folder / "own.key_secret").stat().st_mode) == 0o600
    assert b"secret" not in (ring.folder / "own.key").read_bytes().split(b"curve")[1]


@pytest.mark.parametrize("name", ["or-1", "192.0.2.7", "fe80::1", "Lab_PC"])
def test_what_is_stored_is_found_and_removed(ring: KeyRing, name: str) -> None:
    key = ring.own().public
    before = ring.stamp("engines")
    ring.store("engines", name, key)
    assert ring.names("engines") == {name: key} and ring.names("allowed") == {}
    assert ring.stamp("engines") != before
    assert ring.remove("engines", name) and not ring.remove("engines", name)
    assert ring.names("engines") == {}


@pytest.mark.parametrize("name", ["", "../own", "a/b", "a b", "x" * 101, "\0"])
def test_a_name_stays_in_its_folder(ring: KeyRing, name: str) -> None:
    with pytest.raises(KeyProblem, match="letters, digits"):
        ring.store("allowed", name, ring.own().public)


@pytest.mark.parametrize("text", ["", "x" * 40 + "y", "ä" * 40, '"' * 40, "a" * 39])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(KeyProblem, match="no public key"):
        check_key(text)


def test_a_damaged_file_lets_nobody_in(ring: KeyRing) -> None:
    ring.store("allowed", "good", ring.own().public)
    for name, content in (("empty", b""), ("noise", bytes(range(256))), ("short", b'public-key = "abc"')):
        (ring.folder / "allowed" / f"{name}.key").write_bytes(content)
    assert list(ring.names("allowed")) == ["good"]
    (ring.folder / "own.key_secret").write_text("curve\n")
    with pytest.raises(FileError, match="smartca keys new"):
        ring.own()


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "mine"))
    assert usual_folder() == tmp_path / "mine"
    monkeypatch.delenv(ENVIRONMENT)
    assert usual_folder().parts[-2:] == ("smartca", "keys")
