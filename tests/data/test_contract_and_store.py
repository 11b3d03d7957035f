"""The contract's identity and errors, and the store's promise: what goes in comes out, whatever happens between."""

from __future__ import annotations

import dataclasses
import json
import struct
import sys
import zlib
from unittest import mock

import numpy as np
import pytest
import yaml
from store_made import made_episode

from world4rl_data.contract import ContractError, ContractMismatch, TaskContract, contract_names
from world4rl_data.episode import ActionSource, Episode, EpisodeError, Outcome, episode_source
from world4rl_data.image import ImageError, cv_bridge_works, decode_compressed, decode_image, prepare
from world4rl_data.store import EpisodeStore, StoreError
from world4rl_data.store_verify import verify_store

PRESS = TaskContract.load("franka_sim_push")


def make_episode(name: str = "a", length: int = 5, contract: TaskContract = PRESS, **changes) -> Episode:
    rng = np.random.default_rng(sum(name.encode()) + length)
    episode = Episode(
        images={
            s.name: rng.integers(0, 256, (length + 1, s.height, s.width, 3), dtype=np.uint8) for s in contract.images
        },
        proprio=rng.normal(size=(length + 1, contract.proprio_dim)).astype(np.float32),
        actions=rng.uniform(-1, 1, (length, contract.action_dim)).astype(np.float32),
        action_sources=np.full(length, ActionSource.SCRIPTED, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) * 100_000_000,
        task="press",
        source="expert",
        outcome=Outcome.SUCCESS,
        success_index=length,
        contract_hash=contract.hash,
        episode_id=name,
        seed=3,
    )
    return dataclasses.replace(episode, **changes)


@pytest.mark.parametrize("name", contract_names())
def test_contract_survives_file_and_keeps_hash(name, tmp_path):
    contract = TaskContract.load(name)
    assert contract.name == name
    contract.save(tmp_path / "c.yaml")
    again = TaskContract.load(tmp_path / "c.yaml")
    assert again == contract and again.hash == contract.hash and len(contract.hash) == 16


def test_integer_and_float_notation_hash_alike():
    data = PRESS.to_dict()
    data["control_rate_hz"] = 10
    assert TaskContract.from_dict(data).hash == PRESS.hash


def test_mismatch_names_the_field():
    data = PRESS.to_dict()
    data["images"][0]["height"] = 64
    other = TaskContract.from_dict(data)
    assert PRESS.differences(other) == ["images.front.height: 32 here, 64 there"]
    with pytest.raises(ContractMismatch, match=r"checkpoint x.*images\.front\.height: 32 here, 64 there"):
        PRESS.require_same(other, "checkpoint x")
    PRESS.require_same(TaskContract.from_dict(PRESS.to_dict()), "itself")


@pytest.mark.parametrize("kind", ["images", "proprioception"])
def test_mismatch_names_the_order_of_streams(kind):
    """Channels and numbers come in that order: models are not interchangeable, recordings are."""
    data = PRESS.to_dict()
    data[kind].reverse()
    other = TaskContract.from_dict(data)
    here = ", ".join(stream.name for stream in getattr(PRESS, kind))
    there = ", ".join(stream.name for stream in getattr(other, kind))
    assert here != there and PRESS.differences(other) == [f"{kind}: {here} here, {there} there"]
    with pytest.raises(ContractMismatch, match=f"{kind}: {here} here, {there} there"):
        PRESS.require_same(other, "checkpoint x")
    PRESS.require_reads(other, "a bag")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(controll_rate=3), "controll_rate"),
        (lambda d: d.pop("robot"), "robot"),
        (lambda d: d["images"][0].update(height="tall"), r"images\[0\]\.height"),
        (lambda d: d["actions"].reverse(), "in this order"),
        (lambda d: d["gripper"].update(fixed=None), "gripper"),
        (lambda d: d["poses"].clear(), "home"),
        (lambda d: d["workspace"].update(low=[1, 1, 1]), "workspace"),
        (lambda d: d.update(control_rate_hz=float("nan")), "control_rate_hz"),
        (lambda d: d["workspace"].update(max_step_rad=0), "workspace: max_step_rad must be positive"),
        (lambda d: d["workspace"].update(max_step_m=-0.1), "max_step_m"),
        (lambda d: d["workspace"].update(max_speed_m_s=0), "max_speed_m_s"),
        (lambda d: d["workspace"].update(max_lag_m=-0.01), "max_lag_m must not be negative"),
        (lambda d: d["workspace"].update(max_lag_rad=-1), "max_lag_rad"),
        (lambda d: d["gripper"].update(open_width_m=0), "gripper: open_width_m"),
        (lambda d: d["gripper"].update(hysteresis=1), "hysteresis"),
        (lambda d: d["gripper"].update(hysteresis=-0.2), "hysteresis"),
        (lambda d: d["images"][0].update(timeout_s=0), "image stream 'front': timeout_s"),
        (lambda d: d["proprioception"][0].update(timeout_s=-1), "proprioception stream .*timeout_s"),
        (lambda d: d["proprioception"][0].update(type="geometry_msgs/PoseStamped"), "'position': type .*/msg/PoseSt"),
        (lambda d: d["proprioception"][0].update(topic="pose"), "'position': topic must be an absolute .*, got 'pose'"),
        (lambda d: d["images"][0].update(topic="/image raw"), "image stream 'front': topic must be an absolute"),
        (lambda d: d.update(executed_action_topic="executed"), "executed_action_topic must be an absolute"),
        (lambda d: d["images"][0].update(camera=[0, 480]), r"'front': camera .* \(0, 480\) must be positive"),
        (lambda d: d["images"][0].update(camera=[64, 48], crop=[32, 0, 32, 64]), r"\(64, 48\) must be .* hold crop"),
        (lambda d: d["gripper"].update(namespace="hand/"), "gripper: namespace must be an absolute"),
        (lambda d: d["gripper"].update(open_width_m=80), "open_width_m is in metres, got 80"),
        (lambda d: d.update(action_timeout_s=0.1), "action_timeout_s 0.1 must be longer than a control period, 0.1 s"),
        (lambda d: d["poses"]["home"].__setitem__(0, [0.9, 0, 0.3]), "pose 'home' at .* lies outside the workspace"),
        (lambda d: d["poses"].update(up=[[0.5, 0, 0.3], [0, 0, 0, 0]]), "pose 'up': the quaternion"),
        (lambda d: d.update(controller_offset=[[0, 0, 0.1], [1, 1, 0, 0]]), "controller_offset: the quaternion"),
    ],
)
def test_bad_contract_is_refused_with_the_key(change, message, tmp_path):
    data = PRESS.to_dict()
    change(data)
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ContractError, match=message):
        TaskContract.load(tmp_path / "bad.yaml")


def test_what_people_write_with_few_digits_and_at_the_workspaces_edge_is_taken():
    data = PRESS.to_dict()
    data["poses"] = {"home": [data["workspace"]["low"], [0.7, 0.7, 0.0, 0.0]]}
    data["action_timeout_s"] = 0.11
    assert TaskContract.from_dict(data).poses["home"][1] == (0.7, 0.7, 0.0, 0.0)


def test_unknown_contract_lists_the_known():
    with pytest.raises(ContractError, match="franka_sim_push"):
        TaskContract.load("nonesuch")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.full((5, 3), np.nan, np.float32)}, "not finite in actions at step 0"),
        ({"actions": np.full((5, 3), 2.0, np.float32)}, r"outside \[-1, 1\]"),
        ({"actions": np.zeros((5, 4), np.float32)}, "4 actions dimensions"),
        ({"actions": np.zeros((5, 3))}, "float64"),
        ({"stamps": np.array([0, 1, 2, 2, 4, 5])}, "do not increase at step 2"),
        ({"success_index": None}, "success_index None"),
        ({"source": "robot"}, "robot"),
        ({"contract_hash": "0" * 16}, "contract hash"),
        ({"images": {}}, "images"),
    ],
)
def test_unfit_episode_is_named(changes, message):
    with pytest.raises(EpisodeError, match=message):
        make_episode(**changes).validate(PRESS)


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        ([1, 1], "expert"),
        ([2, 1], "expert"),
        ([3, 3], "policy"),
        ([3, 1], "intervention"),
        ([4], "random"),
        ([3, 4], "policy"),
    ],
)
def test_episode_source(sources, name):
    assert episode_source(np.array(sources, np.uint8)) == name


def test_unknown_source_is_refused():
    with pytest.raises(EpisodeError, match=r"Action\.source"):
        episode_source(np.zeros(3, np.uint8))


@pytest.mark.parametrize(
    ("encoding", "pixel"), [("rgb8", [1, 2, 3]), ("bgr8", [3, 2, 1]), ("rgba8", [1, 2, 3, 9]), ("bgra8", [3, 2, 1, 9])]
)
def test_decode_honours_channel_order_and_row_padding(encoding, pixel):
    row = bytes(pixel * 2) + b"\xff" * 5
    rgb = decode_image(encoding, 2, 2, len(row), row * 2)
    assert rgb.shape == (2, 2, 3) and (rgb == [1, 2, 3]).all()


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
def test_our_decoder_agrees_with_cv_bridge(encoding, monkeypatch):
    if not cv_bridge_works():
        pytest.skip("cv_bridge is not installed here, or was built for another NumPy")
    channels = {"rgba8": 4, "bgra8": 4, "mono8": 1}.get(encoding, 3)
    data = np.random.default_rng(0).integers(0, 256, 4 * 5 * channels, dtype=np.uint8).tobytes()
    ours = decode_image(encoding, 4, 5, 5 * channels, data)
    monkeypatch.setattr("world4rl_data.image._LAYOUTS", {})
    np.testing.assert_array_equal(decode_image(encoding, 4, 5, 5 * channels, data), ours)


def test_image_errors_name_the_mend():
    with pytest.raises(ImageError, match="does not fit"):
        decode_image("rgb8", 4, 4, 12, b"short")
    stream = dataclasses.replace(PRESS.images[0], crop=(0, 0, 100, 100))
    with pytest.raises(ImageError, match="crop"):
        prepare(np.zeros((64, 64, 3), np.uint8), stream)


def _too_large_png() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", b""), (b"IEND", b""))
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "is empty"), (b"noise", "damaged"), (_too_large_png(), "cannot be decoded")],
    ids=["empty", "noise", "too large"],
)
def test_compressed_image_that_cannot_be_decoded_is_an_image_error(data, said):
    with pytest.raises(ImageError, match=said):
        decode_compressed(data)


@pytest.mark.parametrize("error", [RuntimeError("a CvBridgeError"), TypeError("buffer is too small")])
def test_what_cv_bridge_raises_is_an_image_error(error, monkeypatch):
    bridge = mock.Mock(**{"CvBridge.return_value.imgmsg_to_cv2.side_effect": error})
    for name, module in (("cv_bridge", bridge), ("sensor_msgs", mock.Mock()), ("sensor_msgs.msg", mock.Mock())):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("world4rl_data.image.cv_bridge_works", lambda: True)
    with pytest.raises(ImageError, match=f"bayer_rggb8 image of 4x2 pixels .*{error}"):
        decode_image("bayer_rggb8", 2, 4, 4, b"")


def test_prepare_averages_areas_after_crop():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4, 4:, :] = 100
    image[0, 4] = 200
    stream = dataclasses.replace(PRESS.images[0], crop=(4, 0, 4, 4), height=2, width=2)
    assert prepare(image, stream)[:, :, 0].tolist() == [[125, 100], [100, 100]]


def test_store_returns_what_was_appended(tmp_path):
    episodes = [
        make_episode("a", 5),
        make_episode("bb", 7, source="policy", outcome=Outcome.FAILURE, success_index=None),
    ]
    with EpisodeStore.create(tmp_path / "s", PRESS) as store:
        for e in episodes:
            store.append(e, uri=f"bags/{e.episode_id}")
        assert store.frames(1).shape == (8, 6, 32, 32)  # readable while writing
    store = EpisodeStore.open(tmp_path / "s")
    assert len(store) == 2 and store.rows == 14 and store.contract == PRESS
    for i, e in enumerate(episodes):
        back = store.episode(i)
        back.validate(PRESS)
        for field in ("proprio", "actions", "action_sources", "stamps"):
            np.testing.assert_array_equal(getattr(back, field), getattr(e, field))
        for name in e.images:
            np.testing.assert_array_equal(back.images[name], e.images[name])
        assert (back.source, back.outcome, back.success_index, back.seed) == (
            e.source,
            e.outcome,
            e.success_index,
            e.seed,
        )
        np.testing.assert_array_equal(store.frames(i)[:, 3:].transpose(0, 2, 3, 1), e.images["wrist"])
    assert store.select(source="policy") == [1] and store.select(outcome=Outcome.SUCCESS) == [0]
    assert store.select(ids=["a", "bb"], source=("expert", "policy")) == [0, 1]
    assert store.infos[0].uri == "bags/a"


def test_store_grows_after_reopening_and_drops_a_crashed_append(tmp_path):
    with EpisodeStore.create(tmp_path / "s", PRESS) as store:
        store.append(make_episode("a"))
        first = store.content_hash
    for file in (tmp_path / "s").glob("*.bin"):  # a crash between data and index
        with file.open("ab") as f:
            f.write(b"torn")
    with EpisodeStore.open(tmp_path / "s") as store:
        assert store.content_hash == first
        store.append(make_episode("b"))
        np.testing.assert_array_equal(store.actions(1), make_episode("b").actions)
        assert store.content_hash != first


def test_store_refuses_with_reasons(tmp_path):
    with pytest.raises(StoreError, match="dataset build"):
        EpisodeStore.open(tmp_path)
    store = EpisodeStore.create(tmp_path / "s", PRESS)
    store.append(make_episode("a"))
    with pytest.raises(StoreError, match="already in"):
        store.append(make_episode("a"))
    with pytest.raises(EpisodeError, match="contract hash"):
        store.append(make_episode("c", contract_hash="0" * 16))
    with pytest.raises(StoreError, match="another process"):
        EpisodeStore.open(tmp_path / "s").append(make_episode("d"))
    store.close()
    with pytest.raises(StoreError, match="already holds"):
        EpisodeStore.create(tmp_path / "s", PRESS)
    (tmp_path / "s" / "actions.bin").write_bytes(b"")
    with pytest.raises(StoreError, match=r"actions\.bin"):
        EpisodeStore.open(tmp_path / "s")
    index = json.loads((tmp_path / "s" / "index.json").read_text())
    (tmp_path / "s" / "index.json").write_text(json.dumps({**index, "format": "other"}))
    with pytest.raises(StoreError, match="format"):
        EpisodeStore.open(tmp_path / "s")


def test_a_contract_of_pictures_alone_has_a_store(tmp_path):
    """Then there are no numbers of the arm to write, and nothing of them to map."""
    contract = dataclasses.replace(PRESS, proprioception=())
    with EpisodeStore.create(tmp_path / "store", contract) as store:
        for number in range(2):
            store.append(made_episode(number, 4, Outcome.FAILURE, contract))
        assert store.proprio(1).shape == (5, 0)
    again = EpisodeStore.open(tmp_path / "store")
    assert again.proprio(0).shape == (5, 0) and again.array("proprio").shape == (10, 0)
    assert not verify_store(tmp_path / "store", progress=False).damaged
