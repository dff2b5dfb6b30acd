"""Cameras: data with images, a policy that sees, its sampler."""

import numpy as np
import pytest

import libdmc as dmc

N, H, W = 40, 12, 10


def make_data():
    rng = np.random.default_rng(1)
    obs = rng.normal(size=(N, 3)).astype(np.float32)
    act = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
    ends = np.arange(N) % 10 == 9
    data = dmc.Dataset.from_arrays(obs, act, np.zeros(N, np.float32), ends)
    images = rng.integers(0, 256, (N, H, W, 3)).astype(np.uint8)
    data.add_images("wrist", images)
    data.add_images("front", images[::-1].copy())
    return data, images


def make_model(data):
    return dmc.Model.create(data, encoder="resnet18", n_obs=2, enc_width=2, enc_hidden=8, enc_dim=4, crop_h=10, crop_w=9,
                            hidden=8, blocks=1, emb_dim=8, train_steps=5, clip=0.0)


def test_data_and_model_know_their_cameras(tmp_path):
    data, _ = make_data()
    cameras = {"front": (H, W, 3), "wrist": (H, W, 3)}
    assert data.cameras() == cameras and list(data.cameras()) == ["front", "wrist"]
    data.save(tmp_path / "seen.hdf5")
    assert dmc.Dataset.open(tmp_path / "seen.hdf5").cameras() == cameras
    model = make_model(data)
    assert model.cameras == cameras and model.describe()["camera_names"] == "front,wrist"
    name = "condition.key_model_map.front.conv1.weight"
    assert model.tensor_shape(name) == (2, 3, 7, 7)
    model.set_tensor(name, model.get_tensor(name) * 2)


def test_a_sampler_is_shown_images():
    data, images = make_data()
    sampler = dmc.Sampler(make_model(data))
    obs = np.zeros(3, np.float32)
    with pytest.raises(dmc.DmcError, match='no image of camera "front"'):
        sampler.sample(obs)
    with pytest.raises(dmc.DmcError, match="h \\* w \\* c"):
        sampler.set_image("front", images[:2])
    with pytest.raises(dmc.DmcError, match='no camera "back"'):
        sampler.set_image("back", images[0])
    with pytest.raises(TypeError, match="uint8"):
        sampler.set_image("front", images[0].astype(np.float32))
    answers = []
    for other in (0, 0, 1):
        sampler.reset(3)
        sampler.set_image("front", images[other])
        sampler.set_image("wrist", images[0])
        sampler.sample(obs)
        answers.append(sampler.plan())  # not held inside the limits
    assert np.array_equal(answers[0], answers[1]) and not np.array_equal(answers[0], answers[2])


def test_forward_takes_frames_behind_the_observations():
    data, _ = make_data()
    model = make_model(data)
    z, t = np.zeros((2, 1, 2), np.float32), np.zeros(2, np.float32)
    cond = np.zeros((2, 2 * (3 + 2 * H * W * 3)), np.float32)
    assert model.forward(z, t, cond).shape == (2, 1, 2)
    with pytest.raises(ValueError):
        model.forward(z, t, cond[:, :6].copy())


def test_images_are_bytes_of_one_size():
    data, images = make_data()
    with pytest.raises(TypeError):
        data.add_images("third", images.astype(np.float32))
    with pytest.raises(dmc.DmcError, match="the first camera"):
        data.add_images("third", images[:, 1:].copy())
    with pytest.raises(dmc.DmcError, match="already a camera"):
        data.add_images("front", images)
