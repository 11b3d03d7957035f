"""A folder named by a path or a `file://` address is the same folder for every node."""

from __future__ import annotations

from pathlib import Path

import pytest

from world4rl_data.file_address import path_of


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/model", "/data/model"),
        ("file:///data/model", "/data/model"),
        ("~/model", "/home/ann/model"),
        ("file://~/model", "/home/ann/model"),
        ("models/start", "models/start"),  # by the node's working folder, or `stores_dir`
        ("file://models/start", "models/start"),
        ("file:///data/my%20model", "/data/my model"),
        ("/data/my%20model", "/data/my%20model"),  # a path says what it says
        ("/data/a b:c", "/data/a b:c"),
    ],
)
def test_a_path_and_its_address_name_the_same_folder(address: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert path_of(address) == Path(path)


def test_every_path_survives_the_way_through_its_address(tmp_path: Path) -> None:
    for name in ("plain", "two words", "50%20", "käse", "a#b?c"):
        assert path_of((tmp_path / name).as_uri()) == tmp_path / name


@pytest.mark.parametrize("address", ["http://a/b", "s3://bucket/model", "~nobody-of-this-name/model"])
def test_what_is_no_folder_of_this_machine_is_refused_by_name(address: str) -> None:
    with pytest.raises(ValueError, match=address):
        path_of(address)
