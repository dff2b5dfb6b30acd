"""Lives of objects: closing, forgetting, sharing, and the order in which C objects are freed."""

import gc
import threading

import numpy as np
import pytest

import libdmc as dmc
from conftest import SMALL
from libdmc._functions import FUNCTIONS
from libdmc._lib import lib


@pytest.fixture
def freed(monkeypatch):
    """Kinds of the C objects freed since the test began, in order: "model", "sampler" ..."""
    kinds = []

    def counted(kind, destroy):
        def call(pointer):
            kinds.append(kind)
            destroy(pointer)

        return call

    for name in FUNCTIONS:
        if name.endswith("_destroy"):
            monkeypatch.setattr(lib, name, counted(name[4:-8], getattr(lib, name)))
    gc.collect()
    kinds.clear()
    return kinds


def objects(dataset, model, critic):
    yield dmc.Context(), lambda x: x.device
    yield dmc.Dataset.from_arrays(
        *(np.zeros(s, np.float32) for s in [(9, 2), (9, 1), 9]), np.zeros(9, bool)
    ), lambda x: x.info()
    yield model.clone(), lambda x: x.describe()
    yield dmc.Trainer(model, dataset), lambda x: x.step(0)
    yield dmc.Critic.create(dataset, **{"hidden": 8}), lambda x: x.describe()
    yield dmc.Sampler(model), lambda x: x.info()
    yield dmc.Aligner(model, dataset, critic), lambda x: x.reset()
    yield dmc.Replay(2, 1, 9), len
    yield dmc.Synth(dataset, hidden=8, blocks=1, emb_dim=8, batch=8), lambda x: x.step(0)


def test_closed_objects_say_so(dataset, model, critic):
    for thing, use in objects(dataset, model, critic):
        use(thing)
        assert not thing.closed
        thing.close()
        thing.close()
        assert thing.closed and "(closed)" in repr(thing)
        with pytest.raises(dmc.DmcStateError, match=f"this {type(thing).__name__} is closed"):
            use(thing)
        with pytest.raises(dmc.DmcStateError, match="closed"):
            with thing:
                pass


def test_with_closes(dataset, model, critic):
    for thing, use in objects(dataset, model, critic):
        with pytest.raises(ZeroDivisionError), thing as same:
            assert same is thing
            1 / 0
        assert thing.closed


def test_forgotten_objects_are_freed(dataset, model, critic, freed):
    made = [thing for thing, _ in objects(dataset, model, critic)]
    assert freed == []
    del made
    kinds = ["aligner", "context", "critic", "dataset", "model", "replay", "sampler", "synth", "trainer"]
    assert sorted(freed) == kinds


def test_closed_objects_are_no_arguments(dataset, model):
    gone = model.clone()
    gone.close()
    with pytest.raises(dmc.DmcStateError, match="this Model is closed"):
        dmc.Sampler(gone)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda d, m, c: dmc.Sampler(d), "model must be a libdmc.Model, is a Dataset"),
        (lambda d, m, c: dmc.Sampler(m, d), "critic must be a libdmc.Critic, is a Dataset"),
        (lambda d, m, c: dmc.Trainer(m, m), "dataset must be a libdmc.Dataset, is a Model"),
        (lambda d, m, c: dmc.Sampler(m, context=m), "context must be a libdmc.Context, is a Model"),
        (lambda d, m, c: dmc.Model.create(None), "dataset must be a libdmc.Dataset, is a NoneType"),
        (lambda d, m, c: dmc.Model(), "use Model.create or Model.load"),
        (lambda d, m, c: dmc.Dataset(), "use Dataset.open or Dataset.from_arrays"),
        (lambda d, m, c: dmc.Critic(), "use Critic.create or Critic.load"),
    ],
)
def test_objects_of_the_wrong_kind_are_refused(dataset, model, critic, make, words):
    with pytest.raises(TypeError, match=words):
        make(dataset, model, critic)


def test_what_is_needed_outlives_its_handle(arrays, freed):
    """Everything below is closed while something later still uses it."""
    context = dmc.Context(device="ref")
    data = dmc.Dataset.from_arrays(*arrays, context=context)
    first = dmc.Model.create(data, context=context, **SMALL)
    critic = dmc.Critic.create(data, context=context, hidden=8)
    trainer = dmc.Trainer(first, data, batch=8, steps=5)
    context.close()
    data.close()
    first.close()
    trainer.step(2)
    model = trainer.publish()
    assert freed == []
    trainer.close()
    assert freed == ["trainer", "model"]
    sampler = dmc.Sampler(model, critic, candidates=2, select="greedy")
    other, third = model.clone(), model.clone()
    critic.close()
    model.close()
    assert np.isfinite(sampler.sample([0, 0])).all()
    sampler.rebind(other)
    other.close()
    assert np.isfinite(sampler.sample([0, 0])).all()
    assert freed == ["trainer", "model"]
    sampler.rebind(third)
    assert freed == ["trainer", "model", "model"]  # other, but not the one that it was made with
    with pytest.raises(dmc.DmcStateError):
        model.describe()
    sampler.close()
    assert freed[3:] == ["sampler", "model", "critic", "dataset"]
    third.close()
    assert freed[7:] == ["model", "context"]


def test_cycles_are_collected_in_a_safe_order(arrays, freed):
    """The reward holds the aligner, which holds the rest: only the garbage collector ends that."""

    def tie():
        data = dmc.Dataset.from_arrays(*arrays)
        model = dmc.Model.create(data, **SMALL)
        aligner = dmc.Aligner(model, data, batch=8)
        aligner.set_reward(lambda z, obs, want_grad: (aligner, z[:, 0, 0])[1])

    gc.disable()
    try:
        tie()
        assert freed == []
    finally:
        gc.enable()
    gc.collect()
    assert freed[0] == "aligner" and sorted(freed[1:]) == ["dataset", "model"]


def test_a_traceback_may_hold_closed_objects(arrays, freed):
    """What a frame of an old exception still names is freed with close, children first."""

    def fail():
        data = dmc.Dataset.from_arrays(*arrays)
        with dmc.Model.create(data, **SMALL) as model, dmc.Trainer(model, data, batch=8) as trainer:
            model.close()
            data.close()
            trainer.step(-1)

    with pytest.raises(dmc.DmcRangeError) as raised:
        fail()
    assert freed == ["trainer", "model", "dataset"] and raised.value


def test_a_sampler_belongs_to_one_thread_at_a_time(model):
    class SlowEnv:
        max_steps, count = 1, 1
        entered, leave = threading.Event(), threading.Event()

        def reset(self, copy, seed):
            self.entered.set()
            assert self.leave.wait(20)
            return [0, 0]

        def step(self, copy, act):
            return [0, 0], 1.0, True

    env, returned = SlowEnv(), []
    sampler = dmc.Sampler(model)
    thread = threading.Thread(target=lambda: returned.append(dmc.evaluate(sampler, env, 1)))
    thread.start()
    assert env.entered.wait(20)
    with pytest.raises(dmc.DmcStateError, match="Sampler is in use"):
        sampler.sample([0, 0])
    sampler.close()  # waits for the call to end before anything is freed
    env.leave.set()
    thread.join(20)
    assert returned == [1.0]
