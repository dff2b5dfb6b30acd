"""The dmc program from outside: exit codes, files, signals. Standard library only; data are made through libdmc itself."""
import ctypes
import json
import os
import pathlib
import pty
import random
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBDMC = pathlib.Path(os.environ.get("LIBDMC", ROOT / "build/release/libdmc.so")).resolve()
DMC = os.environ.get("DMC", str(LIBDMC.parent / "dmc"))

CONFIG = """
data: {path: data.hdf5, held_out: 0.2}
model: {horizon: 4, n_obs: 2, hidden: 32, blocks: 1, emb_dim: 16, train_steps: 5}
train: {steps: 120, batch: 32, lr: 2e-3}
critic: {steps: 40, hidden: 32, batch: 32}
align: {batch: 32, candidates: 4, eval_every: 5, eval_conditions: 16, lora_rank: 4}
rl: {updates: 10}
dpo: {updates: 10, refresh: 5}
sft: {updates: 10, rounds: 1, conditions: 16}
cascade: {updates: 10, conditions: 16}
sequence: {passes: 1}
run: {report_every: 20, save_every: 40}
"""


def run(folder, *args, code=0, **kwargs):
    done = subprocess.run([DMC, *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=120, **kwargs)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done


def write_dataset(path, obs_dim=2, act_dim=1, size=1.0, rows=600, length=30):
    """Episodes of a cart that is pushed towards 0; further columns are noise."""
    lib = ctypes.CDLL(str(LIBDMC))
    rng = random.Random(1)
    obs, act, rew, timeouts = [], [], [], []
    for i in range(rows):
        if i % length == 0:
            x, v = rng.uniform(-1, 1), 0.0
        a = -1.5 * x - 1.2 * v + rng.uniform(-0.2, 0.2)
        obs += [size * s for s in ([x, v] + [rng.random() for _ in range(obs_dim)])[:obs_dim]]
        act += [size * a] + [rng.random() for _ in range(act_dim - 1)]
        rew.append(-x * x)
        timeouts.append(i % length == length - 1)
        v += 0.1 * a
        x += 0.1 * v
    floats = lambda values: (ctypes.c_float * len(values))(*values)
    out = ctypes.c_void_p()
    assert lib.dmc_dataset_create(None, ctypes.c_size_t(rows), obs_dim, act_dim, floats(obs), floats(act), floats(rew),
                                  bytes(rows), bytes(timeouts), None, ctypes.byref(out)) == 0
    assert lib.dmc_dataset_save(out, str(path).encode()) == 0
    lib.dmc_dataset_destroy(out)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a dataset, a configuration, a trained model and a critic."""
    folder = tmp_path_factory.mktemp("cli")
    write_dataset(folder / "data.hdf5")
    write_dataset(folder / "wide.hdf5", obs_dim=3, act_dim=2)
    (folder / "c.yaml").write_text(CONFIG)
    run(folder, "train", "-c", "c.yaml", "-q")
    run(folder, "critic", "-c", "c.yaml", "-q")
    return folder


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---- usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [
    [], ["trian"], ["train", "--bogus"], ["train", "-Z"], ["train", "--out"], ["train", "word"], ["train"], ["inspect"],
    ["align"], ["align", "magic"], ["sample"], ["help", "nothing"], ["inspect", "a=b", "x"], ["align", "rl", "--tensors"]])
def test_wrong_usage_is_2(tmp_path, args):
    done = run(tmp_path, *args, code=2)
    assert done.stdout == "" and done.stderr.startswith("dmc: error: ")


def test_help_and_version(tmp_path):
    assert run(tmp_path, "version").stdout.startswith("dmc ")
    assert "align" in run(tmp_path, "help").stdout
    table = run(tmp_path, "help", "sampler").stdout
    assert "ddpm|ddim" in table and "1..4096" in table
    both = run(tmp_path, "help", "train").stdout  # a command and a section
    assert "--resume" in both and "grad_clip" in both
    assert run(tmp_path, "train", "--help").stdout == both
    assert "save_every" in run(tmp_path, "help", "run").stdout


def test_full_disk_is_a_failure(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([DMC, "help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space" in done.stderr


# ---- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting, hint", [
    ("train.stepz=3", 'did you mean "steps"'), ("trian.steps=3", 'did you mean "train"'), ("run.ot=x", 'did you mean "out"'),
    ("data.pth=x", 'did you mean "path"'), ("train.steps=0", "must be 1.."), ("train.steps=x", "not a whole number"),
    ("run.save_every=0", "must be a whole number"), ("steps=3", "section.key=value"), ("model.network=cnn", "idql_mlp")])
def test_bad_settings_are_3(made, setting, hint):
    assert hint in run(made, "train", "-c", "c.yaml", setting, code=3).stderr


@pytest.mark.parametrize("text, hint", [
    ("train:\n  stesp: 3\n", 'line 2: section "train" has no key "stesp", did you mean "steps"?'),
    ("rl:\n  updates: none\n", "line 2"), ("train: [1,\n", "line 1"), ("train: {steps: 1}\ntrain: {steps: 2}\n", "line 2")])
def test_bad_yaml_is_3_and_names_the_line(made, text, hint):
    (made / "bad.yaml").write_text(text)
    assert hint in run(made, "sample", "-c", "bad.yaml", "--obs", "0,0", code=3).stderr


def test_bad_files_are_3(made):
    (made / "cut.dmc").write_bytes((made / "model.dmc").read_bytes()[:3000])
    for args in (["train", "--data", "nope.hdf5"], ["train", "-c", "nope.yaml"], ["train", "-d", "model.dmc"],
                 ["inspect", "nope.dmc"], ["inspect", "cut.dmc"], ["inspect", "model.state"], ["inspect", "c.yaml"],
                 ["sample", "-m", "critic.dmc", "--obs", "0,0"], ["align", "rl", "-c", "c.yaml", "-C", "model.dmc"],
                 ["train", "-c", "c.yaml", "-o", "fresh.dmc", "--resume"]):
        assert run(made, *args, code=3).stderr.count("\n") == 1


def test_wrong_widths_are_3(made):
    hint = "observations of 3 and actions of 2"
    assert hint in run(made, "eval", "-d", "wide.hdf5", code=3).stderr
    assert hint in run(made, "align", "rl", "-c", "c.yaml", "-d", "wide.hdf5", code=3).stderr
    assert "wants 2" in run(made, "sample", "--obs", "1", code=3).stderr
    assert "wants 2" in run(made, "sample", "--obs", "1,2,3", code=3).stderr
    assert "not finite" in run(made, "sample", "--obs", "nan,0", code=3).stderr


def test_output_must_not_be_the_checkpoint(made):
    assert "checkpoint" in run(made, "train", "-c", "c.yaml", "-o", "x.state", code=2).stderr


def test_unwritable_output_is_1(made):
    run(made, "train", "-c", "c.yaml", "-o", "no/such/folder/m.dmc", code=1)


def test_divergence_is_4(made):
    write_dataset(made / "huge.hdf5", size=1e25)
    done = run(made, "train", "-c", "c.yaml", "-d", "huge.hdf5", "-o", "huge.dmc", "model.obs_norm=none",
               "model.act_norm=none", "model.clip=0", code=4)
    assert "not finite" in done.stderr and not (made / "huge.dmc").exists()


# ---- training ------------------------------------------------------------------------------------------


def test_train_logs_and_learns(made):
    log = records(made / "model.metrics.jsonl")
    assert [r["step"] for r in log] == [0, 20, 40, 60, 80, 100, 120]
    assert {"step", "loss", "held_out_loss", "lr", "grad_norm", "seconds"} == set(log[-1])
    assert log[0]["loss"] is None and log[-1]["held_out_loss"] < 0.5 * log[0]["held_out_loss"]


def test_train_json_and_quiet(made):
    done = run(made, "train", "-c", "c.yaml", "-o", "q.dmc", "--metrics", "q.log", "-q", "--json", "train.steps=5")
    assert done.stderr == ""
    assert json.loads(done.stdout)["step"] == 5 and json.loads(done.stdout)["out"] == "q.dmc"
    assert [r["step"] for r in records(made / "q.log")] == [0, 5]


def wait_for_steps(path, process, steps):
    """Until the log has reached `steps`. It is flushed line by line: nobody ever sees half a line."""
    for _ in range(3000):
        text = path.read_text() if path.exists() else ""
        assert text == "" or text.endswith("\n")
        if any(json.loads(line)["step"] >= steps for line in text.splitlines()):
            return
        assert process.poll() is None, "the program ended by itself"
        time.sleep(0.01)
    raise AssertionError("the log does not grow")


def interrupt(folder, number, after, *args):
    process = subprocess.Popen([DMC, *args], cwd=folder, stderr=subprocess.PIPE, text=True)
    wait_for_steps(folder / "b.metrics.jsonl", process, after)
    process.send_signal(number)
    text = process.communicate(timeout=60)[1]
    return process.returncode, text


def test_stopped_twice_and_resumed_is_bit_exact(made):
    long = ["-c", "c.yaml", "train.steps=3000", "run.report_every=50", "run.save_every=700"]
    run(made, "train", *long, "-o", "a.dmc", "-q")
    code, text = interrupt(made, signal.SIGINT, 200, "train", *long, "-o", "b.dmc")
    assert code == 130 and "--resume" in text
    assert json.loads(run(made, "inspect", "b.dmc", "--json").stdout)["role"] == "policy"  # usable meanwhile
    first = records(made / "b.metrics.jsonl")[-1]["step"]
    code, _ = interrupt(made, signal.SIGTERM, first + 300, "train", *long, "-o", "b.dmc", "--resume")
    assert code == 143
    second = records(made / "b.metrics.jsonl")[-1]["step"]
    assert 200 <= first < second < 3000
    run(made, "train", *long, "-o", "b.dmc", "--resume", "-q")
    assert (made / "a.dmc").read_bytes() == (made / "b.dmc").read_bytes()
    assert (made / "a.state").read_bytes() == (made / "b.state").read_bytes()
    a, b = records(made / "a.metrics.jsonl"), records(made / "b.metrics.jsonl")
    assert [r["step"] for r in a] == [r["step"] for r in b]
    assert [r["held_out_loss"] for r in a] == [r["held_out_loss"] for r in b]


def test_resume_drops_log_lines_after_the_checkpoint(made):
    args = ["train", "-c", "c.yaml", "-o", "r.dmc", "-q"]
    run(made, *args)
    log = made / "r.metrics.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"step": 140, "loss": 1}\n{"step": 1')  # as after a crash
    run(made, *args, "--resume")
    assert log.read_text() == whole
    state = (made / "r.state").read_bytes()
    run(made, *args, "--resume")  # nothing is left to do
    assert (made / "r.state").read_bytes() == state


def on_terminal(folder, env, *args):
    """stderr of the program as a terminal sees it."""
    master, slave = pty.openpty()
    process = subprocess.Popen([DMC, *args], cwd=folder, stderr=slave, stdout=subprocess.PIPE, env=env)
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    assert process.wait(timeout=60) == 0
    os.close(master)
    return seen


def test_progress_line_on_a_terminal(made):
    args = ["train", "-c", "c.yaml", "-o", "t.dmc", "train.steps=8000"]
    plain = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    seen = on_terminal(made, plain, *args)
    assert b"\r\x1b[K" in seen and b"left 0:" in seen and b"8000/8000 (100%)" in seen and b"\x1b[1m" in seen
    assert b"\x1b[1m" not in on_terminal(made, {**plain, "NO_COLOR": "1"}, *args)


# ---- critic, alignment, use ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["rl", "dpo", "sft", "cascade", "sequence"])
def test_align(made, method):
    out = f"{method}.dmc"
    result = json.loads(run(made, "align", method, "-c", "c.yaml", "-o", out, "--json", "run.report_every=5").stdout)
    assert result["out"] == out and result["after"] >= result["before"] and result["updates"] > 0
    log = records(made / f"{method}.metrics.jsonl")
    assert {r["stage"] for r in log} == ({"rl", "dpo", "sft"} if method == "sequence" else {method})
    contract = json.loads(run(made, "inspect", out, "--json").stdout)
    assert contract["cascade"] == (method == "cascade")


def test_align_goes_on_from_its_adapter(made):
    args = ["align", "rl", "-c", "c.yaml", "-o", "once.dmc", "--adapter", "adapter.dmc", "--json"]
    first = json.loads(run(made, *args).stdout)
    second = json.loads(run(made, *args, "--resume").stdout)
    assert second["before"] == pytest.approx(first["after"], abs=1e-6)
    run(made, "align", "rl", "-c", "c.yaml", "--resume", code=2)


def test_align_stops_at_a_signal(made):
    process = subprocess.Popen([DMC, "align", "rl", "-c", "c.yaml", "-o", "b.dmc", "--metrics", "stop.jsonl",
                                "rl.updates=100000", "run.report_every=1"], cwd=made, stderr=subprocess.PIPE, text=True)
    wait_for_steps(made / "stop.jsonl", process, 10)
    process.send_signal(signal.SIGINT)
    assert "stopped" in process.communicate(timeout=60)[1] and process.returncode == 130
    run(made, "inspect", "b.dmc")


def sample(folder, *args, **kwargs):
    return [json.loads(line) for line in run(folder, "sample", "--json", *args, **kwargs).stdout.splitlines()]


def test_sample(made):
    one = sample(made, "--obs", "0.5,0", "-n", "3")
    assert len(one) == 3 and one[0]["actions"] != one[1]["actions"] and one[0]["q"] is None
    assert [len(one[0]["actions"]), len(one[0]["actions"][0])] == [4, 1]
    again = sample(made, "--obs", "0.5 0", "-n", "3")
    assert [r["actions"] for r in one] == [r["actions"] for r in again]
    assert sample(made, "--obs", "0.5,0", "sampler.seed=7")[0]["actions"] != one[0]["actions"]
    text = run(made, "sample", "--obs", "0.5,0").stdout
    assert [float(x) for x in text.split()] == pytest.approx([a[0] for a in one[0]["actions"]], rel=1e-6)
    assert "needs a critic" in run(made, "sample", "--obs", "0,0", "sampler.select=greedy", code=3).stderr
    chosen = sample(made, "--obs", "0.5,0", "-C", "critic.dmc", "sampler.select=greedy", "sampler.candidates=8")
    assert chosen[0]["q"] is not None and 0 <= chosen[0]["chosen"] < 8


def test_another_horizon(made):
    """The policy flattens its sample and refuses; a U-Net answers with as many rows as asked for, and is evaluated with them."""
    assert "must be the model's 4" in run(made, "sample", "--obs", "0,0", "sampler.horizon=8", code=3).stderr
    run(made, "train", "-c", "c.yaml", "-q", "-o", "unet.dmc", "model.network=unet1d_janner", "model.hidden=8", "model.mult=1,2",
        "train.steps=5")
    chosen = sample(made, "-m", "unet.dmc", "--obs", "0.5,0", "sampler.horizon=8")
    assert [len(chosen[0]["actions"]), len(chosen[0]["actions"][0])] == [8, 1]
    assert "of 8 rows" in run(made, "eval", "-m", "unet.dmc", "-c", "c.yaml", "-n", "8", "sampler.horizon=8").stdout


PROCESSES = ["vp", "vp_grid", "vp_sde", "edm", "flow"]


def sampler_names():
    """All but auto, from the help of the program itself."""
    line = next(x for x in run(".", "sample", "--help").stdout.splitlines() if " ddpm " in x)
    return line.split()[:-1]


@pytest.fixture(scope="module")
def processes(made):
    """A small model of every process, beside the others."""
    for name in PROCESSES:
        run(made, "train", "-c", "c.yaml", "-q", "-o", f"{name}.dmc", f"model.process={name}", "train.steps=5")
    return made


def suits(sampler, process):
    """As docs/math/samplers.md has it."""
    return {"flow_sde": process == "flow", "reinflow": process == "flow", "euler_maruyama": process != "flow",
            "sde_dpm": process != "flow"}.get(sampler, True)


@pytest.mark.parametrize("process", PROCESSES)
def test_every_sampler_answers_or_says_why_not(processes, process):
    names = sampler_names()
    assert len(names) == 13 and names[:2] == ["ddpm", "ddim"]
    for sampler in names:
        call = ["sample", "-m", f"{process}.dmc", "--obs", "0.5,0", "--json", "--sampler", sampler, "--steps", "3"]
        done = subprocess.run([DMC, *call], cwd=processes, capture_output=True, text=True, timeout=60)
        if suits(sampler, process):
            assert done.returncode == 0, (sampler, done.stderr)
            answer = json.loads(done.stdout)
            assert answer["steps"] == 3 and len(answer["actions"]) == 4, (sampler, answer)
        else:
            assert done.returncode == 3 and done.stdout == "" and done.stderr.count("\n") == 1, (sampler, done)
            assert f"sampler {sampler} cannot be used with the process {process}, only with: " in done.stderr


def test_sampler_flags(made):
    assert 'did you mean "heun"' in run(made, "sample", "--obs", "0,0", "--sampler", "hune", code=3).stderr
    assert "steps = 9" in run(made, "sample", "--obs", "0,0", "--steps", "9", code=3).stderr
    flags = sample(made, "--obs", "0.5,0", "-s", "ddim", "-k", "2")
    keys = sample(made, "--obs", "0.5,0", "sampler.sampler=ddim", "sampler.steps=2")
    assert flags[0]["actions"] == keys[0]["actions"] and flags[0]["steps"] == 2
    assert flags[0]["actions"] != sample(made, "--obs", "0.5,0", "-s", "ddpm", "-k", "2")[0]["actions"]
    assert json.loads(run(made, "eval", "-c", "c.yaml", "-n", "4", "-k", "1", "--json").stdout)["windows"] == 4


def test_sample_notes_what_the_critic_says(made):
    best = ["--obs", "0.5,0", "-C", "critic.dmc", "sampler.select=greedy", "sampler.candidates=8"]
    chosen = sample(made, *best)[0]
    done = run(made, "sample", *best)
    assert done.stderr == f"Q {chosen['q']:.6g}, candidate {chosen['chosen']}, 5 steps\n"
    assert len(done.stdout.split()) == 4
    assert run(made, "sample", "--quiet", *best).stderr == "" == run(made, "sample", "--obs", "0.5,0").stderr


def test_sample_from_standard_input_keeps_the_history(made):
    lines = sample(made, "--obs", "-", input="0.5 0\n-0.5 0\n")
    alone = sample(made, "--obs", "-", input="-0.5 0\n")
    assert len(lines) == 2
    # The second call saw the first line too; alone, -0.5 is its own history. Same noise index, other condition.
    assert lines[0]["actions"] == sample(made, "--obs", "0.5,0")[0]["actions"]
    twice = sample(made, "--obs", "-", input="-0.5 0\n-0.5 0\n")
    assert alone[0]["actions"] == twice[0]["actions"] and lines[1]["actions"] != twice[1]["actions"]


def test_eval(made):
    result = json.loads(run(made, "eval", "-c", "c.yaml", "-n", "40", "--json").stdout)
    assert result["windows"] == 40 and result["candidates"] == 8
    last = records(made / "model.metrics.jsonl")[-1]["held_out_loss"]
    assert result["held_out_loss"] == pytest.approx(last, rel=1e-6)
    assert result["error_best"] < result["error_sample"]
    run(made, "train", "-c", "c.yaml", "-q", "-o", "good.dmc", "train.steps=800", "model.predict=x0")
    good = json.loads(run(made, "eval", "-c", "c.yaml", "-m", "good.dmc", "--json").stdout)
    assert good["error_sample"] < good["error_mean_action"] and good["error_best"] < good["error_repeat_last"]
    assert "last action again" in run(made, "eval", "-c", "c.yaml").stdout
    run(made, "eval", "-c", "c.yaml", "data.held_out=0", code=1)


def test_eval_baselines(tmp_path):
    """Actions that alternate 0, 2: repeating the last is off by 2 at rows 0 and 2, the mean always by 1."""
    lib = ctypes.CDLL(str(LIBDMC))
    rows, out = 80, ctypes.c_void_p()
    act = (ctypes.c_float * rows)(*[2.0 * (i % 2) for i in range(rows)])
    zero, ends = (ctypes.c_float * rows)(), bytes(i % 20 == 19 for i in range(rows))
    assert lib.dmc_dataset_create(None, ctypes.c_size_t(rows), 1, 1, zero, act, zero, bytes(rows), ends, None,
                                  ctypes.byref(out)) == 0
    assert lib.dmc_dataset_save(out, str(tmp_path / "data.hdf5").encode()) == 0
    lib.dmc_dataset_destroy(out)
    (tmp_path / "c.yaml").write_text(CONFIG)
    run(tmp_path, "train", "-c", "c.yaml", "-q", "train.steps=1", "model.horizon=1")
    result = json.loads(run(tmp_path, "eval", "-c", "c.yaml", "--json").stdout)
    assert result["windows"] == 19 and result["error_repeat_last"] == 2 and result["error_mean_action"] == 1
    run(tmp_path, "train", "-c", "c.yaml", "-q", "train.steps=1", "model.horizon=2")
    result = json.loads(run(tmp_path, "eval", "-c", "c.yaml", "--json").stdout)
    # off by 2 then 0: mean 1, except the last window of the episode, which has one row left
    assert result["error_repeat_last"] == pytest.approx((18 * 1 + 2) / 19) and result["error_mean_action"] == 1


def test_inspect(made):
    text = run(made, "inspect", "model.dmc").stdout
    assert "network        idql_mlp" in text and "\n  kind         gaussian\n" in text
    contract = json.loads(run(made, "inspect", "model.dmc", "--json").stdout)
    assert contract["obs_dim"] == 2 and contract["train_steps"] == 5
    tensors = [line.split("\t") for line in run(made, "inspect", "model.dmc", "--tensors").stdout.splitlines() if "\t" in line]
    total = 0
    for _, shape in tensors:
        size = 1
        for n in shape.split("x"):
            size *= int(n)
        total += size
    assert total == contract["parameters"]
    critic = json.loads(run(made, "inspect", "critic.dmc", "--json").stdout)
    assert critic["updates"] == 40 and critic["act_dim"] == 1
    run(made, "inspect", "critic.dmc", "--tensors", code=2)
